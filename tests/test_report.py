"""A report as text, JSON, picture and page: exact on a small example, and obeyed by nobody."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
import torch
from PIL import Image

from optvis import Classifier
from optvis.ablation.evaluation.evaluate import evaluate
from optvis.ablation.evaluation.predictions import Prediction
from optvis.ablation.evaluation.report import Report
from optvis.ablation.evaluation.results import RandomBaseline, SetMetrics, UnitCurve
from optvis.ablation.units_json import units_to_json
from optvis.features.units import Channels
from optvis.formatting import Estimate
from optvis.viz.figures import svg_uri
from optvis.viz.pages.report.panels import plot_kept, plot_random_log_odds, plot_random_recall, plot_removed

from .template_network import template_classifier, templates

HOSTILE = "</script><script>document.title = 'obeyed'</script>\"'&<img src=x onerror=\"document.title = 'obeyed'\">"
FILES = ["report.html", "report.json", "report.png", "report.safetensors", "report.txt"]


def estimate(value, wide=0.1):
    return Estimate(value, max(value - wide, 0.0), min(value + wide, 1.0))


def metrics(name, images, before, after):
    fall = Estimate(before - after, before - after - 0.1, before - after + 0.1)
    return SetMetrics(name, images, estimate(before), estimate(after), fall, fall, Estimate(4 * (before - after)))


def build_report(ship="container ship", file="1.jpg", others="others", **changes):
    lines_of = {
        ship: tuple(map(estimate, (1.0, 0.5, 0.25))),
        others: (estimate(1.0), Estimate(0.75), Estimate(None)),
    }
    report = Report(
        ship,
        (ship,),
        (
            Prediction(ship, file, ship, ship, 0.9995, "beaker", 0.1469),
            Prediction(ship, "2.jpg", ship, ship, 0.9, ship, 0.5),
            Prediction(others, "1", "liner", "liner", 1.0, "liner", 0.98754),
            Prediction(others, "2", "liner", "wok", 0.4, "liner", 0.3),
            Prediction(others, "3", "liner", "wok", 0.4, "wok", 0.3),
        ),
        (metrics(ship, 8, 1.0, 0.25), SetMetrics(others, 3, *[Estimate(0.5)] * 5)),
        (metrics(ship, 8, 1.0, 0.25), metrics("liner", 3, 1.0, 0.875), metrics("wok", 2, 1.0, 1.0)),
        UnitCurve((0, 1, 3), lines_of, lines_of, lines_of, lines_of),
        RandomBaseline(
            (0.0, 0.125, 0.75), (0.1, -0.2, 4.0), (0.0, 0.3, -0.1), 0.2, 3, 0.5, 0.25, 0.01, {"mixed5": 0.98}
        ),
        ("3 images of 'others' are too few for an interval; give 5 or more",),
        {
            "network": "demo",
            "units": [{**units_to_json(Channels("mixed5", [1, 2, 3])), "count": 3, "of": 192}],
            "fill": ship,
        },
        torch.rand(5, 3, 24, 32, generator=torch.Generator().manual_seed(0)),
    )
    return replace(report, **changes)


TEXT = """\
demo without 3 channels of mixed5
! 3 images of 'others' are too few for an interval; give 5 or more
Recall of container ship goes from 100.0 % to 25.0 % (15–35).
Of 2 other classes, liner drops most: by 12.5 % (2–22).
Worst group: liner, whose recall goes from 100.0 % to 87.5 % (78–98).
Of 3 random sets of as many units, 1 brings it as low: p = 0.5.
By log-odds none brings it as low: p = 0.25.
The random units have 0.98 times the activation mass of these units.
The right label is lost by 1 of 5 images, and gained by 1; see table().

set             class           images  recall before  after           drop            all off  3 alone kept
container ship  container ship       8        100.0 %  25.0 % (15–35)  75.0 % (65–85)  100.0 %        25.0 %
others          liner                3         50.0 %  50.0 %          50.0 %          100.0 %             –

class  images  recall before  after             drop
wok         2        100.0 %  100.0 % (90–100)  0.0 % (−10 to 10)"""
TABLE = """\
container ship  before %  label           after %  label
1.jpg              99.95  container ship    14.69  beaker          lost
2.jpg              90.00  container ship    50.00  container ship  kept

others  before %  label  after %  label
     1    100.00  liner    98.75  liner  kept
     2     40.00  wok      30.00  liner  gained
     3     40.00  wok      30.00  wok    wrong"""


def test_the_text_is_exactly_this():
    assert str(build_report()) == TEXT
    assert build_report().table() == TABLE


def test_texts_stay_on_their_lines():
    report = build_report("two\nlines\x1b[31m\u202e", "a\tb\r\n")
    text = f"{report}\n{report.table()}"
    assert len(text.splitlines()) == len(f"{TEXT}\n{TABLE}".splitlines())
    assert all(letter.isprintable() for letter in text.replace("\n", ""))


def test_json_comes_back_as_it_was():
    report = build_report(HOSTILE)
    again = Report.from_json(report.json())
    for name, value in vars(report).items():
        assert getattr(again, name) == (None if name == "thumbnails" else value), name
    assert str(again) == str(report)
    assert again.json() == report.json()
    assert again.thumbnails is None
    assert "<img src=" not in again.html()


def test_json_is_plain():
    def strict(constant):
        raise AssertionError(constant)

    told = json.loads(build_report().json(), parse_constant=strict)
    assert told["sets"][0]["after"] == {"value": 0.25, "low": 0.15, "high": 0.35}
    assert told["baseline"]["drops"] == [0.0, 0.125, 0.75]
    assert told["curve"]["removed"]["others"][2] == {"value": None, "low": None, "high": None}


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"target": 3}', build_report().json()[:-2]])
def test_what_is_no_report_is_refused(text):
    with pytest.raises(ValueError, match="no report of optvis"):
        Report.from_json(text)


def test_a_report_of_a_network_comes_back_too():
    own = templates()
    net = Classifier(template_classifier().network, None, 32, [f"class {HOSTILE} {n}" for n in range(16)], name=HOSTILE)
    sets = {HOSTILE: (own[:24:4], range(6)), "../../other": own[24:50:4], "none": []}
    report = evaluate(net, Channels("relu", [0, 4]), sets, random_sets=7, found_on=own[:1], progress=False)
    assert Report.from_json(report.json()).json() == report.json()
    assert repr(report).endswith("13 images, 7 random sets)")
    assert HOSTILE not in report.html()
    report.image()


# Files


def test_five_files_are_written_and_no_other(tmp_path):
    report = build_report("../../" + HOSTILE)
    assert report.save(tmp_path / "in" / "it") == tmp_path / "in" / "it"
    assert sorted(path.name for path in (tmp_path / "in" / "it").iterdir()) == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    folder = tmp_path / "in" / "it"
    assert Report.from_json((folder / "report.json").read_text(encoding="utf-8")).json() == report.json()
    text = f"{report}\n\n{report.table()}\n\nWritten by optvis: evaluation report\n"
    assert (folder / "report.txt").read_text(encoding="utf-8") == text
    assert (folder / "report.html").read_text(encoding="utf-8") == report.html()
    with Image.open(folder / "report.png") as picture:
        assert json.loads(picture.text["optvis"]) == report.recipe


def test_names_that_are_no_text_are_saved_and_come_back(tmp_path):
    report = build_report("caf\udce9", "a\udce9.png")
    folder = report.save(tmp_path / "in")
    assert "caf\ufffd" in (folder / "report.html").read_text(encoding="utf-8")
    assert "caf\ufffd" in (folder / "report.txt").read_text(encoding="utf-8")
    assert Report.from_json((folder / "report.json").read_text(encoding="utf-8")).target == "caf\udce9"
    assert Report.load(folder).target == "caf\udce9"


def test_nothing_is_written_where_a_part_cannot_be_made(tmp_path, monkeypatch):
    def broken(_report):
        raise KeyboardInterrupt

    monkeypatch.setattr(Report, "html", broken)
    with pytest.raises(KeyboardInterrupt):
        build_report().save(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_told(tmp_path):
    (tmp_path / "taken").write_text("", encoding="utf-8")
    with pytest.raises(OSError, match="cannot make the folder"):
        build_report().save(tmp_path / "taken")


# The figures


def test_the_figure_has_each_plot_and_the_page_the_same():
    report = build_report()
    titles = [axes.get_title(loc="left") for axes in report.figure().axes]
    assert titles == [
        "Recall with units off",
        "Recall with those units alone kept",
        "Recall: 3 random sets by their drop",
        "Log-odds, which rarely tie",
    ]
    drawn = [plot(report.page()) for plot in (plot_removed, plot_kept, plot_random_recall, plot_random_log_odds)]
    assert [svg_uri(figure) for figure in drawn] == re.findall(r'<img class="chart" src="([^"]*)"', report.html())
    target, other = (axes for axes in report.figure().axes[0].lines if axes.get_label() in ("container ship", "others"))
    assert {line.get_label(): line.get_ydata().tolist() for line in (target, other)} == {
        "container ship": [100, 50, 25],
        "others": [100, 75],
    }


def test_a_confusion_matrix_counts_predictions():
    report = build_report()
    axes = report.confusion_figure().axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    shown = {
        (names[round(text.get_position()[1])], names[round(text.get_position()[0])]): text.get_text()
        for text in axes.texts
    }
    assert shown == {
        ("container ship", "beaker"): "1",
        ("container ship", "container ship"): "1",
        ("liner", "liner"): "2",
        ("liner", "wok"): "1",
    }
    many = tuple(Prediction("others", str(n), f"class {n}", "a", 0.5, f"class {n}", 0.5) for n in range(30))
    axes = build_report(predictions=many, thumbnails=None).confusion_figure(before=True).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()][-1] == "other classes"
    assert sum(int(text.get_text()) for text in axes.texts) == 30


# The page


def tags(text):
    return re.findall(r"</?[a-zA-Z]\w*", text)


def test_no_text_becomes_markup():
    plain, hostile = build_report(), build_report(HOSTILE, HOSTILE, HOSTILE + "2", warnings=(HOSTILE,))
    assert tags(hostile.html()) == tags(plain.html())
    assert hostile.html().count("<script") == 0
    frame = hostile._repr_html_()
    assert tags(frame) == ["<iframe", "</iframe"]
    assert "sandbox" in frame


def test_the_page_says_what_the_numbers_say():
    text = build_report().html()
    assert "<s>100.0\N{NO-BREAK SPACE}% →</s> 25.0\N{NO-BREAK SPACE}%" in text
    assert "−12.5\N{NO-BREAK SPACE}%" in text
    assert "p = 0.5" in text
    assert text.count('class="thumb"><img') == 5
    assert '<circle class="before" cx="100.00%" cy="50%" r="4"/><circle class="after" cx="25.00%"' in text
    assert "3 images of &#39;others&#39; are too few" in text
    assert re.search(r"https?:|url\(", text) is None


def test_what_was_not_asked_is_not_shown():
    alone = build_report(classes=(metrics("container ship", 8, 1.0, 0.25),), warnings=())
    alone = replace(alone, baseline=replace(alone.baseline, other_log_odds_drops=()))
    text = alone.html()
    assert "Class by class" not in text
    assert 'class="warnings"' not in text
    assert "Log-odds" not in text
    assert "There are no images of other classes." in str(alone)


def test_long_lists_fold():
    many = tuple(metrics(f"class {n}", 9, 1.0, n / 40) for n in range(40))
    text = build_report(classes=many).html()
    assert "<summary>28 more</summary>" in text
    assert "… and 30 classes that drop less" in str(build_report(classes=many))


def open_report(browser, tmp_path, report):
    path = tmp_path / "report.html"
    path.write_text(report.html(), encoding="utf-8")
    browser.open(path)


@pytest.mark.parametrize("name", ["container ship", "W" * 90, HOSTILE])
def test_no_window_scrolls_sideways(browser, tmp_path, name):
    report = build_report(name, name, name + "2")
    for widths in ((390, 320), (1400, 720)):
        browser.resize(widths[0], 900, finger=widths[0] < 720)
        open_report(browser, tmp_path, report)
        browser.js("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        for width in widths:
            browser.widen(width)
            assert browser.js("document.documentElement.scrollWidth") <= width
            inside = browser.js(
                "[...document.querySelectorAll('h1, dd, dt, .bar > *, .track *, .chart, td, li, pre')]"
                ".map((each) => each.getBoundingClientRect().right)"
            )
            assert max(inside) <= width


def test_hostile_texts_are_displayed_and_do_not_run(browser, tmp_path):
    browser.resize(1400)
    open_report(browser, tmp_path, build_report(HOSTILE, HOSTILE, "others"))
    assert browser.js("document.title") == "demo without 3 channels of mixed5 · optvis"
    assert browser.js("document.querySelector('.bar.own .name').textContent") == HOSTILE
    assert browser.js("document.scripts.length") == 0
    assert browser.js("[...document.images].every((each) => each.src.startsWith('data:') && each.naturalWidth)")
    asked = {url.partition(":")[0] for url in browser.asked}
    assert asked == {"file"}
    assert browser.logged == []


def test_dots_stand_at_their_shares(browser, tmp_path):
    for width in (390, 1400):
        browser.resize(width)
        open_report(browser, tmp_path, build_report())
        place = browser.js(
            "(() => { const track = document.querySelector('.bar.own .track');"
            "const box = track.getBoundingClientRect();"
            "return ['.before', '.after'].map((kind) => {"
            "const dot = track.querySelector(kind).getBoundingClientRect();"
            "return (dot.x + dot.width / 2 - box.x) / box.width; }); })()"
        )
        assert place == pytest.approx([1.0, 0.25], abs=0.01)


def test_dark_windows_get_a_dark_page(browser, tmp_path):
    shades, report = [], build_report()
    for scheme in ("light", "dark"):
        browser.resize(1400, color_scheme=scheme)
        open_report(browser, tmp_path, report)
        shades.append(browser.js("getComputedStyle(document.body).backgroundColor"))
    assert shades == ["rgb(252, 251, 248)", "rgb(23, 22, 20)"]


# Loading


def test_a_saved_report_is_loaded_as_it_was(tmp_path):
    saved = build_report(HOSTILE)
    again = Report.load(saved.save(tmp_path / "in"))
    for name, value in vars(saved).items():
        assert again.thumbnails.equal(value) if name == "thumbnails" else getattr(again, name) == value, name
    assert again.html() == saved.html()
    assert again.json() == saved.json()
    assert again.to_dict()["baseline"]["drops"] == [0.0, 0.125, 0.75]


def test_a_report_without_thumbnails_is_loaded_too(tmp_path):
    saved = Report.from_json(build_report().json())
    assert Report.load(saved.save(tmp_path)).json() == saved.json()


def test_a_folder_without_a_report_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="the tensors of a saved evaluation report"):
        Report.load(tmp_path)
    folder = build_report().save(tmp_path / "in")
    path = folder / "report.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match="is damaged or holds no evaluation report"):
        Report.load(folder)
