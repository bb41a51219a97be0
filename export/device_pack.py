"""Packs a .tflite file with images for a device, which says how robust the file is there; or as a page for any phone's browser.

    python -m export.device_pack --model=lenet_int8.tflite --reference=runs/lenet/model.keras --dataset=mnist --examples=100 \\
        --attack='pgd(linf(0.1), steps=20)' --output=pack.zip --page=page

Attacks are made on --reference and shown to the file, as export.verify does; without it, on the file's own graph. --output is a zip file:
unpacked on the device, `python run.py` needs NumPy and ai-edge-litert alone; its result.json goes to `export.verify --device_result`.
--page is a folder that any web server may serve: it runs the file by LiteRT.js, which is fetched by npm, or taken from
--litert_js. docs/device.md has both from beginning to end.
"""

import pathlib

from absl import flags

import tfrobust as tfr
from tfrobust.cli import attacks, data, program, quiet

MODEL = flags.DEFINE_string("model", None, "The .tflite file.", required=True)
REFERENCE = flags.DEFINE_string(
    "reference",
    None,
    "The .keras file that it came from, on which the attacks are made; default: the file's own graph.",
)
PAGE = flags.DEFINE_string("page", None, "Folder for a page that runs the file in a browser.")
LITERT_JS = flags.DEFINE_string(
    "litert_js", None, "A node_modules folder with @litertjs/core; default: it is installed by npm."
)


def main():
    plan, source = attacks.from_flags(), data.from_flags()
    page_folder = PAGE.value and pathlib.Path(PAGE.value)
    quiet.start_tensorflow()
    from export.device import pack, page  # they need it

    if plan.output is None and page_folder is None:
        raise tfr.InputError("say where it goes: --output=pack.zip, --page=FOLDER, or both")
    if plan.output and plan.output.suffix != ".zip":
        raise tfr.InputError(f"--output is a .zip file, got {plan.output}")
    library = page.library(LITERT_JS.value) if page_folder else {}
    paths = [MODEL.value, *([REFERENCE.value] if REFERENCE.value else [])]
    targets = attacks.load_targets(plan.form, paths)
    pack.refuse_what_is_no_file(targets[MODEL.value])
    test = source.load(plan.dataset, "test", plan.examples, **tfr.evaluation.prepare.accepted(targets.values()))
    config = plan.config().changed(finished=None)
    found = tfr.evaluate(targets[paths[-1]], test, None, plan.parsed(), config=config)
    shown = tfr.evaluation.show(found, targets[MODEL.value]) if REFERENCE.value else found
    made = pack.Pack.of(targets[MODEL.value], shown)
    if plan.output:
        pack.write(made, plan.output)
        print(f"pack: {plan.output}; on the device: unpack it, pip install ai-edge-litert, python run.py")
    if page_folder:
        page.write(made, page_folder, library)
        print(
            f"page: python -m http.server --directory {page_folder} 8000, and open http://THIS-MACHINE:8000 on the phone"
        )
    print(shown.table())


flags.adopt_module_key_flags(attacks)
flags.adopt_module_key_flags(data)

if __name__ == "__main__":
    program.run(main)
