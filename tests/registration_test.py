"""Files of this library open in plain Keras once the library is imported."""

import keras

from tests.support import programs
from tfrobust import models


def test_files_open_after_the_import(tmp_path):
    models.lenet(mean=0.3).save(tmp_path / "model.keras")
    code = f"import tfrobust, keras; print(keras.saving.load_model({str(tmp_path / 'model.keras')!r}).name)"
    done = programs.run_code_fresh(code)
    assert done.returncode == 0, done.stderr
    assert keras.saving.load_model(tmp_path / "model.keras").name in done.stdout
