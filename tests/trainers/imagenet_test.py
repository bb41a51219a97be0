"""`trainers.imagenet` as its users run it: on folders, on records, with a defense; and interrupted."""

import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers, programs, shared
from tfrobust import InputError, models, targets
from tfrobust.cli.data import DataSource
from tfrobust.models import masks
from trainers import image_pipeline, image_sources
from trainers.config import TrainingConfig

SMALL = ("--model=ace_toy", "--width=2", "--image_size=32", "--batch_size=8", "--learning_rate=0.01")
NAMES = ("n01", "n02", "n03")


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    encode = tf.io.encode_png if path.suffix == ".png" else tf.io.encode_jpeg
    tf.io.write_file(str(path), encode(image))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three classes of pictures of several sizes, some gray, some PNG."""
    made = tmp_path_factory.mktemp("pictures")
    for number, size in enumerate([(40, 50), (32, 32), (64, 33)] * 10):
        shape = (*size, 1 if number % 4 == 0 else 3)
        image = (classifiers.random_images(1, shape, seed=number, low=0, high=1)[0] * 255).astype("uint8")
        write(made / NAMES[number % 3] / f"{number:02d}{'.png' if number % 5 == 0 else '.JPEG'}", image)
    return made


def run(folder, workdir, *flags):
    programs.succeed("trainers.imagenet", *SMALL, f"--dataset={folder}", *flags, f"--workdir={workdir}")
    return json.loads((workdir / "metrics.json").read_text())


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("trained")
    return workdir, run(folder, workdir, "--epochs=2", "--masks=shallow=0.5")


def test_trains_on_a_folder_and_reports_what_the_contract_says(trained):
    workdir, metrics = trained
    assert len(metrics["history"]["loss"]) == 2 and metrics["examples"] == 6
    assert 0 <= metrics["accuracy"] <= metrics["top_5_accuracy"] == 1
    network = targets.load_model(workdir / "model.keras")
    assert network.input_shape == (None, 32, 32, 3) and str(masks.placement(network)) == "shallow=0.5"
    assert network.get_layer("preprocessing").mean == 0  # the network's own, not that of the images


def test_an_interrupted_run_ends_with_the_same_weights(folder, trained, tmp_path):
    workdir, _ = trained
    shutil.copytree(workdir / "checkpoints", tmp_path / "checkpoints")
    for path in (tmp_path / "checkpoints").glob("2.*"):
        path.unlink()
    run(folder, tmp_path, "--epochs=2", "--masks=shallow=0.5")
    weights = [targets.load_model(path / "model.keras").get_weights() for path in (workdir, tmp_path)]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_deep_defense_keeps_the_means_and_variances_of_batch_normalization(folder, tmp_path):
    """From a user's network, in the size of its images, with the paper's weights for ImageNet."""
    layers = [keras.layers.Conv2D(3, 5, 4), keras.layers.BatchNormalization(), keras.layers.Flatten()]
    before = keras.Sequential([keras.Input((24, 24, 3)), *layers, keras.layers.Dense(3)])
    before.save(tmp_path / "before.keras")
    init = f"--init_weights={tmp_path / 'before.keras'}"
    flags = ("--defense=deep_defense", "--deepfool_steps=1", "--candidates=2", "--epochs=1", "--rho_2_examples=3")
    command = ("--batch_size=8", f"--dataset={folder}", init, *flags, "--noaugment", f"--workdir={tmp_path / 'run'}")
    programs.succeed("trainers.imagenet", *command)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["rho_2"] > 0 and 0 < metrics["history"]["rho_2"][0] < 1
    written = (tmp_path / "run" / "flags.txt").read_text()
    assert "--lam=5.0" in written and "--c=500.0" in written and "--frozen_batch_norm" in written
    after = targets.load_model(tmp_path / "run" / "model.keras")
    for one, other in zip(before.weights, after.weights, strict=True):
        assert np.array_equal(one, other) == (not one.trainable), one.path


def test_the_u_net_alone_is_trained_before_a_network_given_by_path(folder, tmp_path):
    layers = [keras.layers.Conv2D(3, 5, 4), keras.layers.BatchNormalization(), keras.layers.Flatten()]
    given = keras.Sequential([keras.Input((24, 24, 3)), *layers, keras.layers.Dense(3)])
    given.save(tmp_path / "given.keras")
    command = ("--batch_size=8", f"--dataset={folder}", f"--init_weights={tmp_path / 'given.keras'}", "--ace=0.9")
    fitted = ("--optimizer=adam", "--learning_rate=0.002", "--epochs=2", "--weight_decay=0", "--noaugment")
    fitted += ("--precision=mixed_bfloat16",)
    programs.succeed("trainers.imagenet", *command, *fitted, f"--workdir={tmp_path / 'run'}")
    history = json.loads((tmp_path / "run" / "metrics.json").read_text())["history"]
    assert history["squared_error"][1] < history["squared_error"][0]
    assert "val_accuracy" in history and "accuracy" not in history  # in training the network is not asked
    plugged = targets.load_model(tmp_path / "run" / "model.keras")
    assert models.enhancer(plugged).lam == np.float32(0.9)
    behind = [w.numpy() for w in plugged.weights if not w.path.startswith(("ace/", "autoencoder/"))]
    for one, other in zip(given.get_weights(), behind[-len(given.weights) :], strict=True):
        np.testing.assert_array_equal(one, other)


@shared.needs_data
def test_trains_on_any_tfds_name(tmp_path):
    flags = ("--dataset=mnist", f"--data_dir={shared.DATA_DIR}", "--nodownload", "--epochs=0")
    programs.succeed("trainers.imagenet", *SMALL, *flags, f"--workdir={tmp_path}")
    assert json.loads((tmp_path / "metrics.json").read_text())["examples"] == 10_000
    train, _ = image_sources.load("mnist", DataSource(shared.DATA_DIR, download=False))
    assert train.split_off(10_000)[1].examples == 10_000
    one, other = ([int(label) for _, label in train.shuffled(0, range(first, 2), 20)] for first in (0, 1))
    assert len(one) == 40 and one[20:] == other != one[:20]


def test_every_fifth_file_is_tested_on(folder):
    train, test = image_sources.load(str(folder), DataSource())
    assert (train.examples, test.examples, train.classes) == (24, 6, 3)
    assert not set(train.paths) & set(test.paths) and sorted({*train.labels}) == sorted({*test.labels}) == [0, 1, 2]
    kept, held_out = train.split_off(6)
    assert sorted(kept.paths + held_out.paths) == sorted(train.paths) and sorted({*held_out.labels}) == [0, 1, 2]


def test_tiny_imagenets_layout_is_read(tmp_path):
    images = classifiers.random_images(4, (64, 64, 3), low=0, high=1)
    images = (images * 255).astype("uint8")
    for name, image in zip(("n2", "n1", "n2"), images):
        write(tmp_path / "train" / name / "images" / f"{name}_{len(image)}.JPEG", image)
    write(tmp_path / "val" / "images" / "val_0.JPEG", images[3])
    (tmp_path / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn2\t0\t0\t62\t62\n")
    train, test = image_sources.load(str(tmp_path), DataSource())
    assert (train.examples, train.classes, test.labels) == (2, 2, (1,))
    ((batch, labels),) = image_pipeline.StreamFeed(test, 64).batches()
    decoded = tf.io.decode_jpeg(tf.io.read_file(test.paths[0]), dct_method="INTEGER_ACCURATE")
    np.testing.assert_array_equal(batch[0], tf.cast(decoded, tf.float32) / 255)
    assert labels.numpy().tolist() == [1]
    (tmp_path / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn3\t0\t0\t62\t62\n")
    with pytest.raises(InputError, match=r"no training images of the class of .*val_0\.JPEG"):
        image_sources.load(str(tmp_path), DataSource())


@pytest.mark.parametrize("kind", ["folder", "digits"])
def test_batches_follow_from_seed_and_epoch_and_hold_every_example_once(folder, kind, tmp_path):
    train, _ = image_sources.load(str(folder) if kind == "folder" else "digits", DataSource())
    feed = image_pipeline.StreamFeed(train, 16)
    config = TrainingConfig(tmp_path, batch_size=train.examples // 2, epochs=2, augment=True, seed=3)
    first, again, late = (
        [(images.numpy(), labels.numpy()) for images, labels in feed.training(config, epoch)] for epoch in (0, 0, 1)
    )
    assert len(first) == 4 and len(late) == 2
    for one, other in zip([*first, *first[2:]], [*again, *late], strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
    epochs = [np.concatenate([labels for _, labels in first[i : i + 2]]) for i in (0, 2)]
    assert (epochs[0] != epochs[1]).any()
    if train.examples % 2 == 0:
        assert sorted(epochs[0]) == sorted(epochs[1])
    assert first[0][0].min() >= 0 and first[0][0].max() <= 1 and first[0][0].dtype == np.float32


def test_a_crop_is_a_part_of_the_image_and_both_directions_occur():
    image = tf.cast(tf.tile(tf.range(0, 200)[None, :, None], [100, 1, 3]), tf.uint8)
    crops = [image_pipeline.random_crop_and_flip(image, 8, tf.constant([0, i], tf.int64)).numpy() for i in range(20)]
    slopes = {np.sign(crop[0, -1, 0] - crop[0, 0, 0]) for crop in crops}
    assert slopes == {-1, 1} and all(np.ptp(crop[:, 0]) < 1e-6 and crop.max() <= 199 / 255 for crop in crops)
    widths = [255 * np.ptp(crop[0, :, 0]) for crop in crops]
    assert min(widths) < 60 and max(widths) > 100


def test_the_center_is_seven_eighths_of_the_shorter_side_and_an_image_that_fits_stays():
    image = tf.cast(tf.tile(tf.range(0, 240)[None, :, None], [160, 1, 3]), tf.uint8)
    crop = 255 * image_pipeline.center_crop(image, 140).numpy()
    np.testing.assert_allclose(crop[0, [0, -1], 0], [50, 189])
    fitting = tf.cast(classifiers.random_images(1, (9, 9, 3), low=0, high=1)[0] * 255, tf.uint8)
    np.testing.assert_array_equal(image_pipeline.center_crop(fitting, 9), tf.cast(fitting, tf.float32) / 255)


@pytest.mark.parametrize(
    "flags, said",
    [
        (("--dataset=imagenet_of_mine",), "neither a folder, an .npz file nor a data set of TFDS"),
        (("--dataset={empty}",), "holds no PNG or JPEG files in class folders"),
        (("--dataset=digits", "--model=resnet81"), "unknown model 'resnet81'"),
        (("--dataset=digits", "--model=vgg19_imagenet"), "takes no width"),
        (("--dataset=digits", "--batch_size=5000"), "--batch_size=5000 is more than the 1438 examples"),
        (("--dataset=digits", "--init_weights={empty}/missing.h5"), "no such file"),
        (("--dataset=digits", "--ace=0.9"), "name it by --init_weights"),
        (("--dataset=digits", "--ace=0.9", "--init_weights=a.h5", "--defense=deep_defense"), "leave out --defense"),
        (("--dataset=digits", "--ace=2"), "ace"),
    ],
)
def test_wrong_use_ends_in_one_line(tmp_path, flags, said):
    (tmp_path / "empty").mkdir()
    flags = [flag.format(empty=tmp_path / "empty") for flag in flags]
    process = programs.run("trainers.imagenet", *SMALL, *flags, f"--workdir={tmp_path / 'run'}")
    assert process.returncode == 2, process.stderr[-1000:]
    (line,) = programs.errors(process)
    assert said in line and not (tmp_path / "run").exists()
