"""The rule of --config auto: sensible settings from seconds to hours, for small and large texts and machines."""

import dataclasses
import math

import pytest

from charlm.experiment import load_experiment
from charlm.settings import Layer
from charlm.workflows.auto.rule import SIZES, Choice, Facts, choose
from charlm.workflows.auto.speed import REFERENCE_SPEED, Speed

FACTS = Facts(
    minutes=10,
    is_limited_otherwise=False,
    characters=4_000_000,
    tokens=4_000_000,
    vocab_size=200,
    speed=REFERENCE_SPEED,
    memory=16 << 30,
)


def chosen(minutes: float = 10, characters: int = 4_000_000, vocab_size: int = 200, slowness: float = 1) -> Choice:
    speed = Speed(slowness * REFERENCE_SPEED.fixed_seconds, slowness * REFERENCE_SPEED.seconds_per_operation)
    return choose(
        dataclasses.replace(
            FACTS, minutes=minutes, characters=characters, tokens=characters, vocab_size=vocab_size, speed=speed
        )
    )


@pytest.mark.parametrize("minutes", [1e-3, 0.5, 3, 10, 60, 480, 10_000])
@pytest.mark.parametrize("characters", [0, 3, 200_000, 4_000_000, 10**9])
@pytest.mark.parametrize("vocab_size", [60, 10_000])
@pytest.mark.parametrize("slowness", [0.01, 1, 100])
def test_every_choice_is_a_valid_experiment(minutes: float, characters: int, vocab_size: int, slowness: float) -> None:
    choice = chosen(minutes, characters, vocab_size, slowness)
    experiment = load_experiment(Layer(choice.settings))
    assert experiment.training.max_minutes == minutes
    assert experiment.model.ngram is not None
    assert "\n" not in choice.reason


def test_more_time_and_faster_machines_never_mean_smaller_networks() -> None:
    longer = [chosen(minutes=minutes) for minutes in (0.5, 1, 3, 10, 60, 480)]
    faster = [chosen(slowness=slowness) for slowness in (30, 10, 3, 1, 0.3, 0.1)]
    for choices in (longer, faster):
        sizes = [[size for _, size in SIZES].index(choice.size) for choice in choices]
        assert sizes == sorted(sizes)
        assert sizes[0] < sizes[-1]


def test_another_budget_gets_no_limit_on_epochs() -> None:
    facts = dataclasses.replace(FACTS, characters=20_000, tokens=20_000)
    assert "max_epochs" in choose(facts).settings["training"]
    free = choose(dataclasses.replace(facts, is_limited_otherwise=True))
    assert {"max_epochs", "max_minutes"}.isdisjoint(free.settings["training"])
    assert "so 40 do" not in free.reason


def test_the_learning_rate_is_that_of_adamw_alone() -> None:
    chosen_layer = Layer(chosen().settings)
    muon = Layer({"training": {"optimizer": {"type": "muon"}, "max_steps": 1}})
    assert load_experiment(muon.merge_over(chosen_layer)).training.optimizer == load_experiment(muon).training.optimizer


def test_fewer_updates_have_a_higher_learning_rate_within_limits() -> None:
    for slowness in (0.001, 0.1, 0.5, 1, 3, 30, 1000):
        choice = chosen(slowness=slowness)
        factor = choice.settings["training"]["optimizer"]["lr"] / choice.size.lr
        assert 0.99 < factor < 2.01
    assert chosen(slowness=1000).settings["training"]["optimizer"]["lr"] == 1e-2
    slow, fast = chosen(minutes=10, slowness=2), chosen(minutes=10, slowness=1.5)
    assert slow.size == fast.size
    rates = [choice.settings["training"]["optimizer"]["lr"] for choice in (slow, fast)]
    assert rates[0] > rates[1] > fast.size.lr


@pytest.mark.parametrize("minutes", [0.5, 3, 60])
def test_a_network_alone_reads_vectors_of_n_grams_instead_of_counts(minutes: float) -> None:
    alone = choose(dataclasses.replace(FACTS, minutes=minutes, ngram_order=0))
    assert load_experiment(Layer(alone.settings)).model.ngram is None
    assert alone.settings["model"]["embedding"]["context_ngrams"]
    assert "counts" in alone.reason
    whole = choose(dataclasses.replace(FACTS, minutes=minutes))
    assert "context_ngrams" not in whole.settings["model"]["embedding"]


def test_time_counts_relative_to_the_machine() -> None:
    assert chosen(minutes=30, slowness=10).size == chosen(minutes=3).size


def test_text_that_is_read_many_times_gets_more_dropout_and_an_end() -> None:
    bodies = [chosen(minutes, characters).settings["model"]["body"] for minutes, characters in
              ((3, 10**9), (10, 4_000_000), (60, 4_000_000), (480, 200_000))]  # fmt: skip
    dropouts = [body["output_dropout"] for body in bodies]
    assert dropouts == sorted(dropouts)
    assert dropouts[0] < dropouts[-1]
    assert "max_epochs" in chosen(480, 200_000).settings["training"]
    assert "max_epochs" not in chosen(10, 4_000_000).settings["training"]


def test_counting_takes_a_part_of_the_time_and_of_the_memory() -> None:
    def counted(facts: Facts) -> int:
        return choose(facts).settings["model"]["ngram"]["max_tokens"]

    long = dataclasses.replace(FACTS, tokens=10**9, characters=10**9)
    assert counted(FACTS) >= FACTS.tokens
    assert counted(dataclasses.replace(long, minutes=0.5)) < counted(long)
    assert counted(dataclasses.replace(long, memory=1 << 30)) < counted(long)
    assert counted(dataclasses.replace(long, memory=None)) == counted(long)


def test_minutes_that_do_not_end_the_run_are_not_set() -> None:
    settings = choose(dataclasses.replace(FACTS, is_limited_otherwise=True)).settings
    assert "max_minutes" not in settings["training"]


def test_the_speed_is_a_line_through_two_measurements() -> None:
    small, large = SIZES[1][1], SIZES[3][1]
    speed = Speed.fit(small, 0.010, large, 0.025, 200)
    assert speed.fixed_seconds + speed.seconds_per_operation * small.num_operations(200) == pytest.approx(0.010)
    assert speed.fixed_seconds + speed.seconds_per_operation * large.num_operations(200) == pytest.approx(0.025)


@pytest.mark.parametrize(("small", "large"), [(0.02, 0.01), (0.001, 1.0)])
def test_odd_measurements_give_no_negative_time(small: float, large: float) -> None:
    speed = Speed.fit(SIZES[1][1], small, SIZES[3][1], large, 200)
    for _, size in SIZES:
        assert 0 < speed.update_seconds(size, 200) < math.inf
