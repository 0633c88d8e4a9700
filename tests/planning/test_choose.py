import dataclasses
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable

import pytest

from tests.planning.runs_of import curves, isoflop
from waman.artifact import Artifact
from waman.costing.devices import device
from waman.errors import InputError, RecipeError
from waman.planning import choose as door
from waman.planning.allocation import Curve
from waman.planning.answers import LawAnswer, RepetitionAnswer, ServingAnswer
from waman.planning.budget import Prices, best, cheapest
from waman.planning.choose import choose
from waman.planning.drawing import draw
from waman.planning.law import PUBLISHED
from waman.planning.recipe import LawRecipe, RepetitionRecipe, ServingRecipe
from waman.planning.runs import TrainedRun
from waman.planning.scaling import Point

CHINCHILLA = PUBLISHED["chinchilla"].law
TRUE = PUBLISHED["besiroglu"].law


def serve(recipe: ServingRecipe) -> ServingAnswer:
    found = choose(recipe)
    assert isinstance(found, ServingAnswer)
    return found


def repeat(recipe: RepetitionRecipe) -> RepetitionAnswer:
    found = choose(recipe)
    assert isinstance(found, RepetitionAnswer)
    return found


def test_a_loss_and_tokens_to_serve_give_the_cheapest_model() -> None:
    found = serve(ServingRecipe(loss=2.002, served_tokens=1e12))
    assert found.chosen == cheapest(CHINCHILLA, loss=2.002, served=1e12)
    assert found.without_serving.size.parameters == pytest.approx(15.0e9, rel=0.01)
    assert found.without_serving.cost > found.chosen.cost
    assert [one.name for one in found.standings] == ["llama-7b", "llama-13b", "llama-33b", "llama-65b"]
    assert found.notes == ("extrapolated: 3.2 times the most tokens it was fitted on (500B)",)
    text = found.render()
    for said in (
        "11.3B parameters",
        "1.62T, 144 a parameter",
        "1.32e+23 FLOPs: 1.1e+23",
        "llama-7b: loss 2.054, +0.2%",
    ):
        assert said in text


def test_a_budget_of_operations_gives_the_best_model() -> None:
    found = serve(ServingRecipe(flops=1e22, served_tokens=1e12, law="besiroglu"))
    assert found.chosen == best(TRUE, budget=1e22, served=1e12)
    assert found.law.name == "besiroglu"


def test_money_buys_what_a_devices_hour_computes() -> None:
    """A100: 312e12 FLOP/s, of which 0.5 and 0.1 are reached, 3.6 an hour: 0.001 / 156e12 and 0.001 / 31.2e12."""
    recipe = ServingRecipe(
        budget=1e5, served_tokens=1e11, gpu="a100-80gb", mfu=0.5, serving_mfu=0.1, price_per_hour=3.6, currency="KRW"
    )
    found = serve(recipe)
    assert found.prices.training == pytest.approx(0.001 / 156e12)
    assert found.prices.serving == pytest.approx(0.001 / 31.2e12)
    assert found.chosen == best(CHINCHILLA, budget=1e5, served=1e11, prices=found.prices)
    assert found.notes[0] == "a100-80gb at 3.60 KRW an hour, 50% of its peak in training and 10% in serving"
    assert "100,000 KRW" in found.render()


def test_serving_at_trainings_share_of_the_peak_is_said_to_be() -> None:
    found = serve(ServingRecipe(loss=2.1, served_tokens=1e11, gpu="h100"))
    assert found.prices == Prices(found.prices.training, found.prices.training, "USD")
    assert "one request at a time reaches far less of the peak than training does: give --serving-mfu" in found.notes


def test_few_tokens_give_size_epochs_and_what_a_second_language_does() -> None:
    found = repeat(RepetitionRecipe(unique_tokens=2e9))
    assert found.chosen == found.frontier[-1]
    assert found.chosen.epochs > 40
    assert found.lowest_loss < found.chosen.loss
    assert 0 < found.break_even <= found.worth < 1
    assert "over 40 epochs the paper found repeating worthless or harmful: the law only flattens" in found.notes
    with_none = [one.loss for one in found.mixtures if one.share == 0]
    assert with_none == pytest.approx([found.chosen.loss] * 4)
    text = found.render()
    assert "2B tokens" in text
    assert f"{found.chosen.epochs:.3g} epochs" in text


def test_operations_given_are_those_spent() -> None:
    found = repeat(RepetitionRecipe(unique_tokens=5e9, flops=1e20, law="chinchilla", shares=(0.1,), transfers=(0.3,)))
    assert found.chosen.size.training_flops == pytest.approx(1e20)
    assert len(found.mixtures) == 1
    assert "its constants were fitted beside the law muennighoff, not chinchilla" in found.notes


def test_answers_are_plain_data_too() -> None:
    for found in (serve(ServingRecipe(loss=2.1)), repeat(RepetitionRecipe(unique_tokens=1e9))):
        table = json.loads(json.dumps(found.to_table()))
        assert table["parameters"] > 1e6
        assert table["law"]["E"] == found.law.law.E
    assert {"frontier", "epochs", "break_even_transfer", "second_language"} <= table.keys()


def test_the_curve_is_drawn_with_its_lowest_place() -> None:
    for recipe in (ServingRecipe(loss=2.1, served_tokens=1e12), ServingRecipe(flops=1e22)):
        drawing = ElementTree.fromstring(serve(recipe).to_svg())
        texts = [one.text for one in drawing.iter("{http://www.w3.org/2000/svg}text")]
        assert f"{serve(recipe).chosen.size.parameters / 1e9:.3g}B parameters" in texts
        assert len(list(drawing.iter("{http://www.w3.org/2000/svg}circle"))) == 1
    assert "predicted loss, nats per token" in texts


def test_a_flat_curve_is_drawn_all_the_same() -> None:
    flat = draw([1e6, 1e7], [2.0, 2.0], (1e6, 2.0, "a < b"), x_label="x", y_label="y", y_is_logarithmic=False)
    assert "a &lt; b" in ElementTree.tostring(ElementTree.fromstring(flat), encoding="unicode")


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: ServingRecipe(), "no loss to reach and nothing to spend: give --loss, --flops or --budget"),
        (lambda: ServingRecipe(flops=1e20, budget=1, gpu="h100"), "flops and budget both say what may be spent; leave"),
        (lambda: ServingRecipe(budget=100), "budget = 100, but no --gpu NAME says what an hour computes"),
        (lambda: ServingRecipe(loss=2, mfu=0.5), "mfu = 0.5, but no --gpu NAME"),
        (lambda: choose(ServingRecipe(loss=2, flops=1e20)), "but a loss of 2 takes at least"),
        (lambda: choose(ServingRecipe(loss=2, law="kaplan")), "law 'kaplan' is not known"),
        (lambda: choose(ServingRecipe(loss=2, gpu="h100", mfu=2)), "utilization = 2; expected a share of the peak"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(ask: Callable[[], object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        ask()


def test_a_device_without_a_price_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    priceless = dataclasses.replace(device("h100"), price_per_hour=None)
    monkeypatch.setattr(door, "device", lambda name: priceless)
    with pytest.raises(RecipeError, match="h100 has no price in the table: give --price, an hour of one in USD"):
        serve(ServingRecipe(loss=2, gpu="h100"))


# A law of one's own. What reads runs is tested with real ones in test_runs.py


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Artifact]:
    """Runs that follow a published law, in place of those that the artifacts would hold."""
    points = isoflop(TRUE, seed=2, noise=0.003)
    ways = curves(TRUE, num_sizes=12)[: len(points)]
    made = [TrainedRun(f"{n}", one, way) for n, (one, way) in enumerate(zip(points, ways, strict=True))]
    monkeypatch.setattr(door, "read_runs", lambda runs: tuple(made))
    return [Artifact(path=door.__file__, kind="run", identity="any")]  # type: ignore[arg-type]


def test_runs_give_their_law_with_intervals_and_forecasts(trained: list[Artifact]) -> None:
    found = choose(LawRecipe(num_resamples=40), runs=trained)
    assert isinstance(found, LawAnswer)
    assert found.law.intervals is not None
    for name in ("E", "alpha", "beta", "parameters_exponent"):
        assert found.law.intervals[name].low <= getattr(TRUE, name) <= found.law.intervals[name].high
    assert [one.approach for one in found.allocations] == [1, 2]
    assert found.scatter == pytest.approx(0.003, rel=0.4)
    assert found.flops_over_6nd == pytest.approx((1, 1))
    assert [one.times for one in found.forecasts] == pytest.approx([1, 10, 100])
    widths = [one.loss.high - one.loss.low for one in found.forecasts]
    assert widths == sorted(widths)
    assert "approach 2" in found.render()
    assert len(json.loads(json.dumps(found.to_table()))["approaches"]) == 2


def test_a_question_is_answered_by_the_law_of_the_runs(trained: list[Artifact]) -> None:
    found = choose(ServingRecipe(loss=2.2, served_tokens=1e11), runs=trained)
    assert isinstance(found, ServingAnswer)
    assert found.law.name == "your runs"
    assert found.standings == ()
    assert found.intervals is not None
    assert found.intervals[0].low <= cheapest(TRUE, loss=2.2, served=1e11).size.parameters <= found.intervals[0].high
    assert "[" in found.render().split("model")[1]


def test_a_loss_near_the_entropy_is_out_of_reach_in_some_resamples(trained: list[Artifact]) -> None:
    law = choose(LawRecipe(), runs=trained).law
    found = choose(ServingRecipe(loss=law.law.E + 1e-4), runs=trained)
    assert any("is at E or under it, out of reach, in " in note for note in found.to_table()["notes"])
    assert any("extrapolated to" in note for note in found.to_table()["notes"])


def test_an_approach_that_runs_do_not_allow_is_named_with_its_reason(
    trained: list[Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    points = isoflop(TRUE, seed=2, noise=0.003)
    uneven = [Point(one.parameters, one.tokens, one.loss, one.flops * 1.1**n) for n, one in enumerate(points)]
    one_way: Curve = curves(TRUE)[0]
    monkeypatch.setattr(door, "read_runs", lambda runs: tuple(TrainedRun("x", one, one_way) for one in uneven))
    found = choose(LawRecipe(num_resamples=20), runs=trained)
    assert isinstance(found, LawAnswer)
    assert found.allocations == ()
    assert [one.partition(":")[0] for one in found.refused] == ["approach 1", "approach 2"]


def test_a_law_takes_runs() -> None:
    with pytest.raises(InputError, match="0 runs; a law of five constants takes 8 or more"):
        choose(LawRecipe())
