import itertools
import math
from collections.abc import Callable

import pytest

from waman.errors import RecipeError
from waman.planning.law import PUBLISHED, Size
from waman.planning.repetition import (
    HERNANDEZ,
    MUENNIGHOFF,
    Repetition,
    best_epochs,
    frontier,
    transfer_of_score,
    with_second_language,
    worth_of_repetition,
)

C4 = PUBLISHED["muennighoff"].law
UNIQUE = 2e9


def test_one_epoch_is_the_plain_law() -> None:
    for parameters in (1e7, 5e7, C4.optimum_of_tokens(UNIQUE).parameters):
        size = Size(parameters, UNIQUE)
        assert MUENNIGHOFF.loss(C4, size, UNIQUE) == pytest.approx(C4.loss(parameters, UNIQUE), abs=1e-12)


def test_without_decay_any_number_of_epochs_is_the_plain_law() -> None:
    endless = Repetition(tokens=1e12, parameters=1e12)
    assert endless.loss(C4, Size(1e9, 50 * UNIQUE), UNIQUE) == pytest.approx(C4.loss(1e9, 50 * UNIQUE), abs=1e-6)


def test_the_papers_own_example() -> None:
    """Appendix A: R* = 3 and four repetitions of one unit are worth 1 + 3 (1 - e^(-4/3)) = 3.21."""
    assert Repetition(tokens=3).effective_tokens(5, 1) == pytest.approx(3.21, abs=5e-3)
    assert Repetition(tokens=3).effective_tokens(101, 1) == pytest.approx(4, abs=1e-9)


def test_four_epochs_are_worth_nearly_four_and_endless_ones_16() -> None:
    assert MUENNIGHOFF.effective_tokens(4, 1) == pytest.approx(1 + 15.387756 * (1 - math.exp(-3 / 15.387756)))
    assert MUENNIGHOFF.effective_tokens(4, 1) / 4 == pytest.approx(0.93, abs=5e-3)
    assert MUENNIGHOFF.effective_tokens(1e6, 1) == pytest.approx(16.387756)
    assert MUENNIGHOFF.lowest_loss(C4, UNIQUE) == pytest.approx(MUENNIGHOFF.loss(C4, Size(1e15, 1e15), UNIQUE))


def test_parameters_beyond_the_optimum_saturate_at_six_times() -> None:
    optimum = C4.optimum_of_tokens(UNIQUE).parameters
    assert MUENNIGHOFF.effective_parameters(C4, optimum / 2, UNIQUE) == optimum / 2
    assert MUENNIGHOFF.effective_parameters(C4, 1e15, UNIQUE) == pytest.approx(6.309743 * optimum)


def test_fewer_tokens_than_are_unique_are_all_new() -> None:
    assert MUENNIGHOFF.loss(C4, Size(1e7, 1e9), UNIQUE) == C4.loss(1e7, 1e9)


def test_a_budget_for_less_than_an_epoch_is_spent_by_the_plain_law() -> None:
    found = best_epochs(C4, unique=1e12, flops=1e20)
    assert found.size.parameters == pytest.approx(C4.optimum(1e20).parameters, rel=1e-3)
    assert found.epochs == pytest.approx(1)


def test_beyond_an_epoch_tokens_are_preferred_to_parameters() -> None:
    """R_D* > R_N*: section 5 of the paper. No neighbour is better, and the plain law would take a larger model."""
    flops = 64 * C4.optimum_of_tokens(UNIQUE).training_flops
    found = best_epochs(C4, unique=UNIQUE, flops=flops)
    assert found.size.training_flops == pytest.approx(flops)
    assert 8 < found.epochs < 16
    assert found.size.parameters < C4.optimum(flops).parameters
    for factor in (0.97, 1.03):
        other = Size(found.size.parameters * factor, found.size.tokens / factor)
        assert MUENNIGHOFF.loss(C4, other, UNIQUE) > found.loss


def test_the_frontier_goes_on_until_doubling_buys_nothing_worth_it() -> None:
    rows = frontier(C4, unique=UNIQUE)
    assert rows[0].epochs == pytest.approx(1, rel=1e-3)
    assert rows[0].size.parameters == pytest.approx(0.051 * UNIQUE, rel=0.01)
    gains = [one.loss - other.loss for one, other in itertools.pairwise(rows)]
    assert min(gains) > 0.01
    beyond = best_epochs(C4, unique=UNIQUE, flops=2 * rows[-1].size.training_flops)
    assert 0 < rows[-1].loss - beyond.loss <= 0.01


def test_no_second_language_is_the_repeated_law() -> None:
    size = Size(4e8, 10 * UNIQUE)
    found = with_second_language(C4, size, unique=UNIQUE, share=0, transfer=0.3)
    assert found.loss == pytest.approx(MUENNIGHOFF.loss(C4, size, UNIQUE))
    assert found.epochs == pytest.approx(10)


def test_a_share_takes_tokens_from_the_first_language_and_gives_their_transfer() -> None:
    size = Size(1e7, 4e9)
    found = with_second_language(C4, size, unique=4e9, share=0.25, transfer=0.4)
    assert found.epochs == 1
    assert found.effective_tokens == pytest.approx(3e9 + 0.4 * 1e9)
    assert found.loss == pytest.approx(C4.loss(1e7, 3.4e9))


def test_a_share_pays_where_its_tokens_are_worth_more_than_a_repetition() -> None:
    small = Size(1e8, 21 * UNIQUE)
    worth = worth_of_repetition(small, unique=UNIQUE)
    assert worth == pytest.approx(math.exp(-20 / 15.387756))
    alone = MUENNIGHOFF.loss(C4, small, UNIQUE)
    assert with_second_language(C4, small, unique=UNIQUE, share=0.01, transfer=1.05 * worth).loss < alone
    assert with_second_language(C4, small, unique=UNIQUE, share=0.01, transfer=0.95 * worth).loss > alone


def test_before_the_second_epoch_a_token_is_worth_a_token() -> None:
    assert worth_of_repetition(Size(1e9, UNIQUE / 2), unique=UNIQUE) == 1


def test_a_transfer_score_is_read_as_its_definition_says() -> None:
    """To the loss of d tokens, (1 + transfer) s / 2 = d, and the score is 2 - s / d."""
    for transfer in (-0.2, 0, 0.5, 1):
        s_over_d = 2 / (1 + transfer)
        assert transfer_of_score(2 - s_over_d) == pytest.approx(transfer)


def test_effective_data_transferred_is_hernandezs_power_law() -> None:
    """Table 1: ten times the parameters are worth 10^0.38 times, and ten times the own data 10^0.18 times."""
    text, code = HERNANDEZ
    assert text.characters(1, 1) == 1.9e4
    assert text.characters(3e5, 4e8) / text.characters(3e5, 4e7) == pytest.approx(10**0.38)
    assert text.characters(3e6, 4e7) / text.characters(3e5, 4e7) == pytest.approx(10**0.18)
    assert code.characters(1, 1) == 2.1e5


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: best_epochs(C4, unique=0, flops=1e20), "unique tokens = 0; expected a finite number above 0"),
        (lambda: best_epochs(C4, unique=1e9, flops=-1), "flops = -1; expected a finite number above 0"),
        (lambda: frontier(C4, unique=-1), "unique tokens = -1; expected a finite number above 0"),
        (lambda: _mixed(share=1), "second-language share = 1; expected 0 or more and under 1"),
        (lambda: _mixed(transfer=1.5), "transfer = 1.5; expected more than -1 and at most 1: the worth of a token"),
        (
            lambda: _mixed(share=0.9, transfer=-0.9),
            r"a share of 0\.9 takes away 1\.62B tokens of the 200M .* smaller share",
        ),
        (lambda: transfer_of_score(2), "bilingual transfer score = 2; expected under 2"),
        (lambda: HERNANDEZ[0].characters(0, 1), "own characters = 0; expected a finite number above 0"),
        (lambda: HERNANDEZ[0].characters(1, 0), "parameters = 0; expected a finite number above 0"),
    ],
)
def test_what_cannot_be_is_refused(ask: Callable[[], object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        ask()


def _mixed(share: float = 0.1, transfer: float = 0.1) -> object:
    return with_second_language(C4, Size(1e8, UNIQUE), unique=UNIQUE, share=share, transfer=transfer)
