"""Reports and heat maps: valid, coded, with the values and images that they are about."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from highdicom.sr import ComprehensiveSR
from pydicom.sr.codedict import codes

from monai_brain.dicom_out.settings import Settings
from monai_brain.dicom_out.write import shown, write_reports
from monai_brain.errors import ConfigurationError

TAKEN_OVER = (
    *("StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber"),
    *("StudyID", "StudyDate", "StudyTime", "ContentDate", "ContentTime"),
)
NO_PLACE = {
    **dict.fromkeys(("FrameOfReferenceUID", "ImagePositionPatient", "PixelSpacing", "ContentDate")),
    "StudyDate": "",
    "PatientBirthDate": "1970-01-01",
    "PatientSex": "X",
}
SEEN = "Research use only, not for diagnosis"


def groups_of(dataset):
    return ComprehensiveSR.from_dataset(dataset).content.get_image_measurement_groups()


def code_of(group) -> str:
    return group.finding_type.value


def values_of(group) -> list[float]:
    return [float(each.value) for each in group.get_measurements(name=codes.DCM.Probability)]


def test_a_series_gives_one_report_with_the_mean_of_its_slices(mr_series, brain, tmp_path, by_kind):
    rows, paths = mr_series
    written = write_reports(rows, paths, brain, tmp_path / "out")
    assert written.failures == []
    assert len(written.files) == 1
    (report,) = by_kind(written.files)["SR"]
    groups = groups_of(report)
    assert [code_of(group) for group in groups] == ["393564001", "302820008", "254956000", "no_tumor"]
    # by hand: (70 + 20 + 90) / 3, (10 + 50 + 5) / 3, (10 + 20 + 3) / 3, (10 + 10 + 2) / 3
    assert [values_of(group) for group in groups] == [[60.0], [21.67], [11.0], [7.33]]
    assert (report.CompletionFlag, report.PreliminaryFlag, report.VerificationFlag) == (
        "COMPLETE",
        "PRELIMINARY",
        "UNVERIFIED",
    )
    text = written.files[0].read_bytes().decode("ascii", errors="ignore")
    assert SEEN in text
    assert "Highest value: glioma, 60.00 %" in text
    assert "the mean of the probabilities" in text
    assert f"weights SHA-256 {'ab' * 32}" in text


def test_the_highest_slices_are_referenced_and_all_are_evidence(mr_series, brain, tmp_path, by_kind):
    rows, paths = mr_series
    written = write_reports(rows, paths, brain, tmp_path / "out", Settings(top=2, rule="max"))
    (report,) = by_kind(written.files)["SR"]
    uids = {case: pydicom.dcmread(path).SOPInstanceUID for case, path in paths.items()}
    glioma, meningioma, *_ = groups_of(report)
    images = [
        [image.referenced_sop_instance_uid for image in group.source_images] for group in (glioma, meningioma)
    ]
    assert images == [[uids["c"], uids["a"]], [uids["b"], uids["a"]]]
    assert (values_of(glioma), values_of(meningioma)) == ([90.0], [50.0])
    assert {uid for _, _, uid, _ in ComprehensiveSR.from_dataset(report).get_evidence()} == set(uids.values())


def test_an_exam_gives_one_report_with_a_group_a_view(mg_exam, breast, tmp_path, by_kind):
    rows, paths = mg_exam
    written = write_reports(rows, paths, breast, tmp_path / "out")
    assert written.failures == []
    (report,) = by_kind(written.files)["SR"]
    groups = groups_of(report)
    assert len(groups) == 4
    assert {code_of(group) for group in groups} == {"111101"}
    sides = [group.finding_sites[0].laterality.meaning for group in groups]
    assert sorted(sides) == ["Left", "Left", "Right", "Right"]
    found = {}
    for group in groups:
        quality = group.get_qualitative_evaluations(name=codes.DCM.ImageQuality)[0].value.value
        view = group.get_qualitative_evaluations(name=codes.DCM.ImageView)[0].value.value
        of = [
            each[0].ContentSequence[0].ConceptCodeSequence[0].CodeValue for each in group.get_measurements()
        ]
        side = group.finding_sites[0].laterality.meaning[0]
        found[side, view] = (quality, dict(zip(of, values_of(group), strict=True)))
    assert found["L", "399162004"] == ("complete", {"complete": 85.0, "incomplete": 15.0})
    assert found["R", "399368009"] == ("incomplete", {"complete": 25.0, "incomplete": 75.0})
    # nothing but the quality and the class: no code of a particular fault
    assert not {"111209", "111197", "111205"} & {
        item.CodeValue for item in walk(report) if "CodeValue" in item
    }


def walk(dataset):
    for element in dataset:
        for item in element.value if element.VR == "SQ" else ():
            yield item
            yield from walk(item)


def test_maps_are_written_for_the_slices_that_count(mr_series, brain, make, tmp_path, by_kind):
    rows, paths = mr_series
    settings = Settings(top=2)
    assert shown(rows, paths, brain, settings) == {"c": "glioma", "a": "glioma"}
    maps = {case: make.heat(case, "glioma", seed=number) for number, case in enumerate(paths)}
    found = by_kind(write_reports(rows, paths, brain, tmp_path / "out", settings, maps).files)
    assert {kind: len(each) for kind, each in found.items()} == {"SR": 1, "SC": 2, "PM": 2}
    sent = {pydicom.dcmread(paths[case]).SOPInstanceUID: case for case in ("a", "c")}
    for picture in found["SC"]:
        assert picture.SourceImageSequence[0].ReferencedSOPInstanceUID in sent
        assert SEEN in picture.DerivationDescription
        assert (picture.BodyPartExamined, picture.ConversionType) == ("BRAIN", "WSD")
        assert "BurnedInAnnotation" not in picture  # the source does not say
    for values in found["PM"]:
        (reference,) = values.SourceImageSequence
        case = sent[reference.ReferencedSOPInstanceUID]
        mapping = values.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
        assert mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeValue == "130403"
        real = values.pixel_array * mapping.RealWorldValueSlope + mapping.RealWorldValueIntercept
        assert np.abs(real - maps[case].heat).max() <= 0.0005 + 1e-6
        assert SEEN in values.DerivationDescription
        position = values.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient
        assert list(position) == list(pydicom.dcmread(paths[case]).ImagePositionPatient)


def test_the_picture_carries_the_disclaimer_in_its_pixels(mr_series, brain, make, tmp_path, by_kind):
    from monai_brain.inference import overlays

    rows, paths = mr_series
    map_ = make.heat("c", "glioma")
    (picture,) = by_kind(write_reports(rows, paths, brain, tmp_path, Settings(top=1), {"c": map_}).files)[
        "SC"
    ]
    pixels = picture.pixel_array
    assert np.array_equal(pixels, overlays.picture(map_, brain.disclaimer))
    assert not np.array_equal(pixels, overlays.picture(map_, ""))


def test_every_object_stands_in_the_source_s_study_and_says_what_it_is(mr_series, brain, make, tmp_path):
    rows, paths = mr_series
    source = pydicom.dcmread(paths["a"])
    maps = {"c": make.heat("c", "glioma")}
    numbers, series = set(), set()
    for file in write_reports(rows, paths, brain, tmp_path / "out", Settings(), maps).files:
        dataset = pydicom.dcmread(file)
        for keyword in TAKEN_OVER:
            assert dataset[keyword].value == source[keyword].value, keyword
        assert dataset.SeriesInstanceUID != source.SeriesInstanceUID
        assert "research use only" in dataset.SeriesDescription
        assert dataset.Manufacturer == "monai_brain"
        assert dataset.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99MONAI_BRAIN"
        assert "SECRET42" not in file.name
        numbers.add(int(dataset.SeriesNumber))
        series.add(dataset.SeriesInstanceUID)
    assert numbers == {9100, 9101, 9102}
    assert len(series) == 3


@pytest.mark.parametrize("kind", ["single", "placeless", "enhanced", "exam", "sideless", "deidentified"])
def test_dciodvfy_finds_no_error(kind, mr_series, mg_exam, sources, brain, breast, make, tmp_path, dciodvfy):
    settings = Settings(top=1)
    if kind in ("single", "deidentified"):
        (rows, paths), bundle = mr_series, brain
        settings = Settings(top=1, deidentified=kind == "deidentified")
    elif kind == "placeless":
        bundle, rows = brain, mr_series[0][:1]
        paths = {"a": sources.mr(9, **NO_PLACE)}
    elif kind == "enhanced":
        bundle, rows, path = brain, mr_series[0], sources.enhanced()
        paths = {case: (path, frame) for frame, case in enumerate("abc", start=1)}
    else:
        (rows, paths), bundle = mg_exam, breast
        if kind == "sideless":
            paths = {
                case: sources.mg(case[0], case[1:], ImageLaterality=None, ViewPosition="") for case in paths
            }
    maps = {one.case: make.heat(one.case, bundle.labels[0]) for one in rows}
    written = write_reports(rows, paths, bundle, tmp_path / "out", settings, maps)
    assert written.failures == []
    assert len(written.files) == 1 + 2 * (4 if bundle is breast else 1)
    assert {file.name: found for file in written.files if (found := dciodvfy(file))} == {}


def test_a_frame_of_an_enhanced_object_is_referenced_by_its_number(
    sources, mr_series, brain, make, tmp_path, by_kind
):
    path = sources.enhanced()
    paths = {case: (path, frame) for frame, case in enumerate("abc", start=1)}
    maps = {"c": make.heat("c", "glioma")}
    found = by_kind(write_reports(mr_series[0], paths, brain, tmp_path, Settings(top=1), maps).files)
    (image,) = groups_of(found["SR"][0])[0].source_images
    assert image.referenced_frame_numbers == [3]
    assert found["SC"][0].SourceImageSequence[0].ReferencedFrameNumber == 3
    (reference,) = found["PM"][0].SourceImageSequence
    assert (reference.ReferencedSOPClassUID, reference.ReferencedFrameNumber) == (
        "1.2.840.10008.5.1.4.1.1.4.1",
        3,
    )
    position = found["PM"][0].PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
    assert position.ImagePositionPatient == [6, 0, 0]


def test_dsrdump_reads_the_report(mr_series, brain, tmp_path):
    if shutil.which("dsrdump") is None:
        pytest.skip("dsrdump (Debian's dcmtk) is not installed")
    rows, paths = mr_series
    (file,) = write_reports(rows, paths, brain, tmp_path).files
    done = subprocess.run(["dsrdump", "+Pl", str(file)], capture_output=True, text=True, check=True)
    assert 'NUM:(,,"Probability")="60.0" (%,UCUM,"Percent")' in done.stdout
    assert '(393564001,SCT,"Glioma")' in done.stdout
    assert done.stderr == ""


def test_what_cannot_be_reported_is_named_and_the_rest_is_written(mr_series, brain, sources, make, tmp_path):
    rows, paths = mr_series
    text = tmp_path / "picture.png"
    text.write_bytes(b"\x89PNG")
    extra = {
        "picture": text,
        "no study": sources.mr(4, StudyInstanceUID=None),
        "twice": paths["a"],
        "gone": tmp_path / "gone.dcm",
        "no frame": (paths["b"], 5),
    }
    probs = rows[0].probs
    more = [make.row(case, probs) for case in (*extra, "unknown")]
    written = write_reports([*rows, *more], {**paths, **extra}, brain, tmp_path / "out")
    assert len(written.files) == 1
    said = dict(line.split(": ", 1) for line in written.failures)
    assert set(said) == {*extra, "unknown"}
    assert said["picture"] == "no report: the image is no DICOM file"
    assert said["no study"] == "no report: its StudyInstanceUID is missing or no UID"
    assert said["gone"].endswith("cannot be read (FileNotFoundError)")
    assert "Doe" not in str(written.failures)


def test_abstentions_are_no_part_of_a_series_value(mr_series, brain, make, tmp_path, by_kind):
    rows, paths = mr_series
    rows = [*rows[:2], make.row("c", rows[2].probs, abstain=True)]
    (report,) = by_kind(write_reports(rows, paths, brain, tmp_path).files)["SR"]
    assert values_of(groups_of(report)[0]) == [45.0]


def test_a_stranger_s_model_reports_with_its_own_codes(mr_series, tmp_path, make, by_kind):
    from monai_brain.files import read_json, write_json
    from monai_brain.testing.tiny import tiny_bundle

    bundle = tiny_bundle(tmp_path / "mine")
    file = bundle.root / "configs" / "metadata.json"
    metadata = read_json(file)
    labels = bundle.labels
    metadata["monai_brain"]["codes"]["classes"] = {
        label: {"value": f"x{number}", "scheme": "99STRANGER", "meaning": f"Class {number}"}
        for number, label in enumerate(labels)
    }
    metadata["monai_brain"]["codes"]["schemes"] = {"99STRANGER": "A stranger"}
    write_json(file, metadata)
    bundle = type(bundle).at(bundle.root)
    rows, paths = mr_series
    (report,) = by_kind(write_reports(rows, paths, bundle, tmp_path / "out").files)["SR"]
    assert [code_of(group) for group in groups_of(report)] == ["x0", "x1", "x2", "x3"]
    del metadata["monai_brain"]["codes"]
    write_json(file, metadata)
    with pytest.raises(ConfigurationError, match="no codes to report with"):
        write_reports(rows, paths, type(bundle).at(bundle.root), tmp_path / "out")


@pytest.mark.real_data
def test_real_samples_give_objects_without_errors(real_images, brain, breast, make, tmp_path, dciodvfy):
    folder = real_images / "dicom"
    if not folder.is_dir():
        pytest.skip("MONAI_BRAIN_DATA holds no folder dicom")
    checked = 0
    for bundle, names in ((brain, "brain_mr_*/*.dcm"), (breast, "mammo_mg/*.dcm")):
        rows, paths, maps = [], {}, {}
        for file in sorted(folder.glob(names)):
            header = pydicom.dcmread(file, stop_before_pixels=True)
            probs = dict(
                zip(
                    bundle.labels,
                    np.random.default_rng(0).dirichlet(np.ones(len(bundle.labels))),
                    strict=True,
                )
            )
            rows.append(make.row(file.stem, probs))
            paths[file.stem] = file
            maps[file.stem] = make.heat(file.stem, bundle.labels[0], (header.Rows, header.Columns))
        written = write_reports(rows, paths, bundle, tmp_path / bundle.name, Settings(top=1), maps)
        assert written.failures == []
        assert {str(file): found for file in written.files if (found := dciodvfy(file))} == {}
        checked += len(written.files)
    assert checked > 20


def test_file_names_do_not_come_from_the_source(mr_series, brain, tmp_path):
    rows, paths = mr_series
    for file in write_reports(rows, paths, brain, tmp_path / "out").files:
        assert set(file.stem) <= set("0123456789abcdef")
        assert file.parent == Path(tmp_path / "out")
