/* Runs serving_default of a SavedModel through TensorFlow's C API, as TF Serving's own loader and session do.

   run_saved_model DIRECTORY INPUT OUTPUT RANK SIZE...: reads float32 values of that shape from standard input, writes the
   answers to standard output. INPUT and OUTPUT are names of the graph's tensors, without ":0" and with it. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"

static void check(TF_Status* status) {
  if (TF_GetCode(status) == TF_OK) return;
  fprintf(stderr, "%d: %s\n", TF_GetCode(status), TF_Message(status));
  exit(3);
}

static TF_Output output_of(TF_Graph* graph, char* name) {
  char* colon = strchr(name, ':');
  int index = colon ? atoi(colon + 1) : 0;
  if (colon) *colon = 0;
  TF_Output found = {TF_GraphOperationByName(graph, name), index};
  if (!found.oper) {
    fprintf(stderr, "no operation %s\n", name);
    exit(4);
  }
  return found;
}

int main(int count, char** words) {
  const char* tags[] = {"serve"};
  TF_Status* status = TF_NewStatus();
  TF_Graph* graph = TF_NewGraph();
  TF_SessionOptions* options = TF_NewSessionOptions();
  TF_Session* session = TF_LoadSessionFromSavedModel(options, NULL, words[1], tags, 1, graph, NULL, status);
  check(status);

  int64_t shape[8], values = 1;
  int rank = atoi(words[4]);
  for (int axis = 0; axis < rank && 5 + axis < count; axis++) values *= shape[axis] = atoll(words[5 + axis]);
  TF_Tensor* image = TF_AllocateTensor(TF_FLOAT, shape, rank, values * sizeof(float));
  if (fread(TF_TensorData(image), sizeof(float), values, stdin) != (size_t)values) return 5;

  TF_Output input = output_of(graph, words[2]), output = output_of(graph, words[3]);
  TF_Tensor* answers = NULL;
  TF_SessionRun(session, NULL, &input, &image, 1, &output, &answers, 1, NULL, 0, NULL, status);
  check(status);
  fwrite(TF_TensorData(answers), 1, TF_TensorByteSize(answers), stdout);

  TF_DeleteTensor(answers);
  TF_DeleteTensor(image);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteGraph(graph);
  TF_DeleteSessionOptions(options);
  TF_DeleteStatus(status);
  return 0;
}
