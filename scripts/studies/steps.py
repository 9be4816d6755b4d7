"""The steps from real images to every figure of docs/results.md: each is one command of monai-brain.

A word like {four} stands for what the step of that name gives. Steps are listed in the order in which they
are worth their time: where it ends early, the earlier ones stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

BRAIN, REGIONS, FILMS = (
    "brain_tumor_resnet34",
    "brain_tumor_efficientnet_b2",
    "mammography_quality_parb_kan",
)
NETWORKS = ("vgg16", "resnet50", "resnext101", "googlenet", "efficientnetv2_s", "densenet121")
FAULTS = ("contour", "nipple", "pectoral", "inferior", "collimator", "shifted_detector")


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        name: What it is called; its output is called so too.
        words: The command's words, without -o.
        suffix: Of its output: ".json" for a datalist, "" for a folder.
        without: A fault that is taken out of the training and validation parts of the datalist `words[0]`
            instead of running a command; all other faults leave the test part.
        page: Whether `report` makes a page of its output.
    """

    name: str
    words: tuple[str, ...]
    suffix: str = ""
    without: str = ""
    page: bool = False

    def place(self, root: Path) -> Path:
        """Where its output is."""
        return root / f"{self.name}{self.suffix}"


@dataclass(frozen=True)
class Scale:
    """How large the trainings are.

    Attributes:
        paper: Values of the recipe's keys for the papers' recipes, by model.
        strong: The same for the stronger recipe.
        short: More values for what is run for fewer epochs than the rest.
        folds: How many folds.
        seeds: How many seeds the split of three classes is repeated with.
        whole: Whether everything is run, or what a CPU has the time for.
        drawn: How many images without a tumour are drawn; the first paper had 1436 of Br35H's 1500.
        films: How many images of each class are made of mammograms.
    """

    paper: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    strong: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    short: Mapping[str, object] = field(default_factory=dict)
    folds: int = 5
    seeds: int = 5
    whole: bool = True
    drawn: int = 1436
    films: int = 1000


_SMALL = {"image_size": 112, "max_epochs": 15, "batch_size": 32, "amp": True}
# Fewer steps than the recipe is meant for: less of what only pays over many epochs.
_SHORT_STRONG = {
    **_SMALL, "mix_probability": 0, "label_smoothing": 0.05, "warmup": 0.15, "ema_decay": 0.995, "rare": 0.1,
}  # fmt: skip
_TINY = {"image_size": 32, "max_epochs": 1, "batch_size": 8}
SCALES = {
    "gpu": Scale(short={"max_epochs": 60}),
    "cpu": Scale(
        paper=dict.fromkeys((BRAIN, REGIONS, FILMS), _SMALL),
        strong={
            BRAIN: {**_SHORT_STRONG, "train#augmentation#1#prob": 0},
            REGIONS: _SHORT_STRONG,
            FILMS: _SHORT_STRONG,
        },
        seeds=3,
        whole=False,
    ),
    # Whether every command is well formed: a minute or two on phantoms, and figures that mean nothing.
    "trial": Scale(
        paper=dict.fromkeys((BRAIN, REGIONS, FILMS), _TINY),
        strong=dict.fromkeys((BRAIN, REGIONS, FILMS), _TINY),
        folds=2,
        seeds=1,
        whole=False,
        drawn=20,
        films=40,
    ),
}


def steps(data: Path, scale: Scale) -> list[Step]:
    """All steps of a scale, each after those whose output it needs."""
    return [*_data(data, scale), *_brain(scale), *_regions(scale), *_films(scale), *_brain_tables(scale)]


def _data(data: Path, scale: Scale) -> Iterator[Step]:
    for name, folder in (
        ("figshare", "figshare3064"),
        ("no_tumour", "br35h_notumor1500"),
        ("elsewhere", "outside"),
    ):
        yield Step(name, ("data", "index", "manifest", str(data / folder / "manifest.csv")), ".json")
    yield Step("joined", ("data", "join", "{figshare}", "{no_tumour}"), ".json")
    split = ("data", "split", "{joined}", "--scheme", "patient", "--folds", str(scale.folds))
    yield Step("four", (*split, "--draw", f"no_tumor={scale.drawn}"), ".json")
    for seed in range(scale.seeds):
        words = ("data", "split", "{figshare}", "--scheme", "paper", "--rounding", "ceil", "--allow-leakage")
        yield Step(f"three_{seed}", (*words, "--seed", str(seed)), ".json")
    yield Step(
        "three", ("data", "split", "{figshare}", "--scheme", "patient", "--folds", str(scale.folds)), ".json"
    )
    yield Step(
        "films", ("data", "incomplete", str(data / "minimias319"), "--n", str(scale.films), "--seed", "0")
    )
    yield Step(
        "women",
        ("data", "split", "{films}/datalist.json", "--scheme", "patient", "--folds", str(scale.folds)),
        ".json",
    )


def _brain(scale: Scale) -> Iterator[Step]:
    """The improved ResNet34: by patient and by image, both recipes, controls, images from elsewhere."""
    folds = ("cross-validate", BRAIN, "--datalist", "{four}", "--folds", str(scale.folds), "--scheme")
    both = (*folds, "patient", "kfold", "--allow-leakage")
    yield Step(
        "brain_strong", (*both, "--shortcut", "--recipe", "strong", *_set(scale.strong, BRAIN)), page=True
    )
    judged = ("{brain_strong}/runs/fold_0", "--datalist", "{brain_strong}/datalists/repeat_0.json")
    yield Step("brain_robust", ("robustness", *judged, "--fold", "0"))
    yield Step("brain_elsewhere", ("transfer", "{brain_strong}", "--datalist", "{elsewhere}"), page=True)
    boxes = ("--boxes", "{brain_strong}/datalists/repeat_0.json", "--fold", "0")
    yield Step("brain_pointing", ("explain", "{brain_strong}/runs/fold_0", *boxes))
    plain = (*folds, "patient", "--variant", "resnet34", "--recipe", "strong")
    yield Step("brain_plain", (*plain, *_set(scale.strong, BRAIN)))
    yield Step("brain_against_plain", ("compare", "{brain_strong}", "{brain_plain}"), page=True)
    shuffled = (*folds, "patient", "--shuffle-labels", "--recipe", "strong")
    yield Step("brain_shuffled", (*shuffled, *_set(scale.strong, BRAIN, {"max_epochs": 5})))
    if scale.whole:
        yield Step("brain_paper", (*both, *_set(scale.paper, BRAIN)), page=True)


def _regions(scale: Scale) -> Iterator[Step]:
    """EfficientNet-B2: the paper's split with several seeds, sizes and rules, then by patient."""
    for seed in range(scale.seeds):
        one = ("--datalist", f"{{three_{seed}}}", "--seed", str(seed))
        words = (*one, *_set(scale.paper, REGIONS))
        yield Step(f"regions_{seed}", ("cross-validate", REGIONS, *words))
        if scale.whole:
            yield Step(
                f"regions_{seed}_on_test", ("cross-validate", REGIONS, *words, "--set", "select_on=test")
            )
            sizes = ",".join(f"efficientnet_b{size}" for size in (0, 1, 3, 4))
            yield Step(f"sizes_{seed}", ("ablate", REGIONS, "--variants", f"{sizes},no_augmentation", *words))
    folds = ("cross-validate", REGIONS, "--datalist", "{three}", "--shortcut", "--recipe", "strong")
    yield Step("regions_strong", (*folds, *_set(scale.strong, REGIONS)), page=True)


def _films(scale: Scale) -> Iterator[Step]:
    """PARB + KAN: its two parts, five folds of women, and faults that it has never seen."""
    words = ("--datalist", "{films}/datalist.json", *_set(scale.paper, FILMS))
    yield Step("films_parts", ("ablate", FILMS, *words), page=True)
    strong = ("--recipe", "strong", *_set(scale.strong, FILMS))
    yield Step(
        "films_strong", ("cross-validate", FILMS, "--datalist", "{women}", "--shortcut", *strong), page=True
    )
    if scale.whole:
        for fault in FAULTS:
            yield Step(f"films_but_{fault}", ("{films}/datalist.json",), ".json", without=fault)
            given = ("--datalist", f"{{films_but_{fault}}}")
            yield Step(f"films_unseen_{fault}", ("cross-validate", FILMS, *given, *strong))


def _brain_tables(scale: Scale) -> Iterator[Step]:
    """The first paper's tables of parts and of other networks, on one fold."""
    words = ("--datalist", "{four}", "--recipe", "strong", *_set(scale.strong, BRAIN, scale.short))
    yield Step("brain_parts", ("ablate", BRAIN, *words), page=True)
    others = tuple(f"baseline:{name}" for name in NETWORKS) if scale.whole else ("baseline:resnet50",)
    yield Step("brain_networks", ("compare", BRAIN, *others, *words, "--against", BRAIN), page=True)


def _set(
    values: Mapping[str, Mapping[str, object]], model: str, more: Mapping[str, object] | None = None
) -> tuple[str, ...]:
    merged = {**values.get(model, {}), **(more or {})}
    return tuple(word for key, value in merged.items() for word in ("--set", f"{key}={_text(value)}"))


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
