"""Files of this library open in plain Keras once the library is imported."""

from tests.support import programs
from tfrobust import models


def test_files_open_after_the_import(tmp_path, artifacts):
    """One that the library made, and one that a program trained."""
    models.lenet(mean=0.3).save(tmp_path / "model.keras")
    for path in (tmp_path / "model.keras", artifacts.model):
        code = f"import tfrobust, keras; print(keras.saving.load_model({str(path)!r}).output_shape)"
        done = programs.run_code_fresh(code)
        assert done.returncode == 0 and "(None, 10)" in done.stdout, done.stderr
