"""Files of this library open in plain Keras once the library is imported."""

import keras
import pytest

from tests.support import programs
from tfrobust import models


@pytest.mark.parametrize("imports", ["import tfrobust, keras", "import tfrobust.attacks, keras"])
def test_files_open_after_the_import(imports, tmp_path):
    models.lenet(mean=0.3).save(tmp_path / "model.keras")
    code = f"{imports}; print(keras.saving.load_model({str(tmp_path / 'model.keras')!r}).name)"
    done = programs.run_code_fresh(code)
    assert done.returncode == 0, done.stderr
    assert keras.saving.load_model(tmp_path / "model.keras").name in done.stdout
