"""What a defense is worth by what the attacker knows of it: the tables of ACE's paper, and the lowest number first.

    python -m trainers.scenarios --model=runs/ace_0/model.keras --model=runs/ace_10/model.keras \\
        --model=runs/ace_100/model.keras --defense=pixel_shift --dataset=cifar10 --examples=64 \\
        --attack='pgd(l2(1.0), steps=100)' --attack='deepfool()' --output=runs/scenarios

    tables 3, 5        --scenario=vanilla, one --model for each lam
    table 4            --scenario=vanilla --lam=0,0.5,0.99, of a U-Net that trainers.imagenet has trained
    table 7            --scenario=vanilla --shifts=1,2,3,4,5
    table 8            --scenario=vanilla with each of --defense=pixel_shift, resize_pad, pixel_deflection, region_vote
    table 9, figure 9  --scenario=transfer
    table 10           --scenario=adaptive --direction=random: the expectation over random shifts is attacked
    table 1            --scenario=restricted: confined to G(--fraction), the pixels with the largest gradient overlap

Writes report.json. Attacks that do not know of the defense leave far more than those that do: the lowest accuracy of
every network is printed below the table, with a warning.
"""

import functools
import json

from absl import flags

import tfrobust as tfr
from tfrobust import files
from tfrobust.cli import attacks, data, devices, program

SCENARIOS = ("vanilla", "transfer", "restricted", "adaptive", "black_box")  # tfrobust.evaluation's, which --help leaves
DEFENSES = ("pixel_shift", "resize_pad", "pixel_deflection", "region_vote")

MODEL = flags.DEFINE_multi_string("model", None, "A network without the defense, a .keras file.", required=True)
SCENARIO = flags.DEFINE_list("scenario", list(SCENARIOS), f"Which of {', '.join(SCENARIOS)}.")
DEFENSE = flags.DEFINE_multi_enum("defense", ["pixel_shift"], DEFENSES, "What defends; may be given several times.")
SHIFTS = flags.DEFINE_list("shifts", ["1"], "By how many pixels pixel_shift shifts, such as 1,2,3,4,5.")
DIRECTION = flags.DEFINE_enum(
    "direction", "right", ["right", "left", "down", "up", "random"], "Where pixel_shift shifts to."
)
VOTES = flags.DEFINE_integer("votes", 1000, "Points around an image that region_vote asks about.", lower_bound=1)
BLACK_BOX = flags.DEFINE_multi_string(
    "black_box_attack", ["square(linf(8/255), queries=1000)"], "Attacks of the scenario black_box."
)
LAM = flags.DEFINE_list("lam", [], "Each --model with these lam of its ACE module in turn; default: the one it has.")
FRACTION = flags.DEFINE_float("fraction", 0.3, "p of G(p) in the scenario restricted.", 0.0, 1.0)
SAMPLES = flags.DEFINE_integer("samples", 20, "Draws that adaptive attacks on random defenses average.", lower_bound=1)


def main():
    common, source = attacks.from_flags(), data.from_flags()
    plan = functools.partial(_plan, tuple(SCENARIO.value), common.attacks, tuple(BLACK_BOX.value), FRACTION.value)
    defenses = functools.partial(_defenses, DEFENSE.value, SHIFTS.value, DIRECTION.value, VOTES.value)
    paths, lams, samples, folder = MODEL.value, LAM.value, SAMPLES.value, common.output
    devices.from_flags().start()
    plan, defenses = plan(samples), defenses()
    if folder:
        files.check_writable(folder)
    names = tfr.evaluation.render.pictures.distinct(paths)
    networks = {name: network for path, short in zip(paths, names) for name, network in _networks(path, short, lams)}
    targets = [tfr.targets.KerasTarget(network, path) for path, network in networks.items()]
    test = source.load(common.dataset, "test", common.examples, **tfr.evaluation.prepare.accepted(targets))
    found = tfr.evaluation.evaluate_scenarios(
        networks, defenses, test.floats(), test.labels, plan=plan, config=common.config()
    )
    print(found.table())
    if folder:
        with files.written(folder / "report.json") as path:
            path.write_text(json.dumps(found.report, indent=2) + "\n")
        print(f"report: {folder / 'report.json'}")


def _plan(scenarios, named, black_box, fraction, samples):
    """The plan that the flags say; without --attack its own."""
    given = {"attacks": named} if named else {}
    return tfr.evaluation.Plan(scenarios, black_box=black_box, fraction=fraction, samples=samples, **given)


def _networks(path, name, lams):
    """A network by its name in the table; for each lam its own."""
    if not lams:
        yield name, tfr.targets.load_model(path)
    for lam in lams:
        network = tfr.targets.load_model(path)
        try:
            tfr.models.enhancer(network).set_lam(float(lam))
        except ValueError as error:
            raise tfr.InputError(f"--lam={','.join(lams)}: {error}") from None
        yield f"{name}, lam {lam}", network


def _defenses(names, shifts, direction, votes):
    """Functions from a network to the defended one, by how they are written in the table."""
    if not all(shift.isdecimal() for shift in shifts):
        raise tfr.InputError(f"--shifts takes numbers of pixels, such as 1,2,3; got {','.join(shifts)}")
    found = {}
    for name in names:
        if name == "pixel_shift":
            for shift in map(int, shifts):
                defend = functools.partial(tfr.defenses.pixel_shift, pixels=shift, direction=direction)
                found[f"pixel_shift({shift}, {direction})"] = defend
        elif name == "region_vote":
            found[name] = functools.partial(tfr.defenses.region_vote, samples=votes)
        else:
            found[name] = vars(tfr.defenses)[name]
    return found


for module in (attacks, data, devices):
    flags.adopt_module_key_flags(module)

if __name__ == "__main__":
    program.run(main)
