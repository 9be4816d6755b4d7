"""A methods paragraph and BibTeX to paste: only what the files of the run tell."""

from __future__ import annotations

import re
from typing import Any

from monai_brain import __version__
from monai_brain.reporting.claim_answers import model_start
from monai_brain.reporting.evidence import Evidence
from monai_brain.reporting.words import percent

MONAI = """@article{cardoso2022monai,
  title = {{MONAI}: An open-source framework for deep learning in healthcare},
  author = {Cardoso, M. Jorge and Li, Wenqi and Brown, Richard and Ma, Nic and Kerfoot, Eric and others},
  year = {2022},
  journal = {arXiv preprint arXiv:2211.02701},
  doi = {10.48550/arXiv.2211.02701}
}"""
GRADCAM = """@inproceedings{selvaraju2017gradcam,
  title = {{Grad-CAM}: Visual Explanations from Deep Networks via Gradient-Based Localization},
  author = {Selvaraju, Ramprasaath R. and Cogswell, Michael and Das, Abhishek and Vedantam, Ramakrishna and
            Parikh, Devi and Batra, Dhruv},
  booktitle = {IEEE International Conference on Computer Vision},
  year = {2017},
  pages = {618--626},
  doi = {10.1109/ICCV.2017.74}
}"""
CLAIM = """@article{tejani2024claim,
  title = {Checklist for Artificial Intelligence in Medical Imaging ({CLAIM}): 2024 Update},
  author = {Tejani, Ali S. and Klontzas, Michail E. and Gatti, Anthony A. and others},
  journal = {Radiology: Artificial Intelligence},
  year = {2024},
  volume = {6},
  number = {4},
  pages = {e240300},
  doi = {10.1148/ryai.240300}
}"""
_TEX = {"&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_"}


def paragraph(evidence: Evidence) -> str:
    """The methods of this run in sentences; what is not recorded is not in them."""
    metrics, recipe = evidence.arm.metrics, evidence.source.recipe
    says = [*_model(evidence), *_data(evidence)]
    if recipe.get("max_epochs") is not None:
        says.append(
            f"Training took at most {recipe['max_epochs']} epochs in batches of {recipe.get('batch_size')} "
            f"at a learning rate of {recipe.get('learning_rate')}, from "
            + _start(str(recipe.get("start_weights")))
            + (f", with seed {recipe['seed']}." if recipe.get("seed") is not None else ".")
        )
    outcome = evidence.source.manifest.get("outcome")
    if isinstance(outcome, dict) and outcome.get("selected_on"):
        says.append(f"The weights of the best epoch by {outcome['selected_on']} were kept.")
    interval, groups = metrics["interval"], metrics["cases"]["groups"]
    unit = "whole patients or groups of images" if groups else "images, taken as independent"
    says.append(
        f"Figures are given with {100 * interval['level']:g}\u00a0% intervals from {interval['draws']} "
        f"bootstrap resamples of {unit} (BCa)."
    )
    if metrics["by_patient"] is not None:
        says.append(f"A patient\u2019s answer is {metrics['by_patient']['rule_in_words']}.")
    if len(evidence.arms) > 1:
        says.append(
            "Models were compared on the same images by paired bootstrap and McNemar\u2019s test, with "
            "Holm\u2019s correction."
        )
    if evidence.maps.found:
        says.append(f"Evidence was shown by Grad-CAM at layer {evidence.maps.layer}.")
    says.append(_result(metrics))
    if metrics["leakage"]:
        says.append(
            f"The split was {metrics['leakage']}, so images of one patient were both trained on and tested; "
            "the figures do not hold for new patients."
        )
    return " ".join(says)


def bibtex(evidence: Evidence) -> str:
    """The entries of what was used: the model's papers, this software, MONAI, the checklist."""
    entries = []
    for arm in evidence.arms:
        entry = _paper(arm.bundle.name, arm.bundle.facts.get("paper")) if arm.bundle is not None else ""
        if entry and entry not in entries:
            entries.append(entry)
    ours = (
        "@software{monai_brain,\n"
        "  title = {monai\\_brain: published 2D medical image classifiers as MONAI bundles},\n"
        f"  author = {{{{monai\\_brain contributors}}}},\n  version = {{{__version__}}}\n}}"
    )
    return "\n\n".join([*entries, ours, MONAI, *([GRADCAM] if evidence.maps.found else []), CLAIM])


def _model(evidence: Evidence) -> list[str]:
    arm, manifest = evidence.arm, evidence.source.manifest
    name = " ".join(part for part in (arm.metrics["model"], arm.metrics["variant"]) if part)
    says = [
        f"Images were classified as {_listed(arm.metrics['classes'])}" + (f" by {name}." if name else ".")
    ]
    packages = manifest.get("packages")
    if isinstance(packages, dict):
        versions = [
            f"{word} {packages[key]}"
            for key, word in (("torch", "PyTorch"), ("monai", "MONAI"))
            if packages.get(key)
        ]
        says.append(f"It was trained with monai_brain {manifest.get('monai_brain')} ({', '.join(versions)}).")
    return says


def _data(evidence: Evidence) -> list[str]:
    told, cases = evidence.told, evidence.arm.metrics["cases"]
    says = []
    if told.get("scheme"):
        folds = f" into {told['folds']} folds" if told.get("folds") else ""
        name = f" {told['name']}" if told.get("name") else ""
        says.append(f"The data set{name} was split by the scheme \u201c{told['scheme']}\u201d{folds}.")
    groups = f" of {cases['groups']} patients or groups" if cases["groups"] else ""
    says.append(
        f"{cases['measured']} {evidence.arm.metrics['split'] or ''} images{groups} were measured.".replace(
            "  ", " "
        )
    )
    return says


def _result(metrics: Any) -> str:
    unit, words = (
        ("by_patient", "By patient") if metrics["by_patient"] is not None else ("by_case", "By image")
    )
    found = metrics[unit]["overall"]["accuracy"]
    between = f" ({percent(found['low'])} to {percent(found['high'])})" if found["low"] is not None else ""
    return f"{words}, accuracy was {percent(found['value'])}{between}."


def _start(start: str) -> str:
    known = {
        "scratch": "random weights",
        "imagenet": "ImageNet weights",
        "shipped": "the bundle\u2019s own weights",
    }
    return known.get(start, f"the weights {model_start(start)}")


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _paper(model: str, paper: object) -> str:
    if not isinstance(paper, dict) or not paper.get("title"):
        return ""
    authors = [author.strip() for author in str(paper.get("authors", "")).split(",") if author.strip()]
    family = re.sub(r"\W", "", (authors[0].split() or [model])[-1].lower()) if authors else model
    fields = {
        "title": f"{{{paper['title']}}}",
        "author": " and ".join(authors),
        "year": paper.get("year"),
        "journal": paper.get("journal")
        or (f"arXiv preprint arXiv:{paper['arxiv']}" if paper.get("arxiv") else None),
        "doi": paper.get("doi"),
    }
    lines = [f"  {key} = {{{_escaped(value)}}}" for key, value in fields.items() if value]
    return f"@article{{{family}{paper.get('year', '')},\n" + ",\n".join(lines) + "\n}"


def _escaped(value: object) -> str:
    return "".join(_TEX.get(sign, sign) for sign in str(value))
