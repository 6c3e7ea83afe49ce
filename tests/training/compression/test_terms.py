"""Every loss of the registry can be asked for in settings, and is off unless it is."""

from decig.training.compression.terms import TERMS
from decig.training.tasks.distil import Settings


def test_every_term_has_a_weight_and_a_line_in_the_settings() -> None:
    for name in TERMS:
        assert getattr(Settings(), name) == 0.0
        assert f"        {name}: weight of " in (Settings.__doc__ or "")


def test_only_what_is_asked_for_is_computed() -> None:
    assert Settings().terms == {}
    assert Settings(haar=0.5, relations=2.0).terms == {"haar": 0.5, "relations": 2.0}


def test_a_discriminator_is_needed_where_something_looks_at_its_judgement() -> None:
    assert not Settings().needs_judge(real=False) and Settings().needs_judge(real=True)
    assert Settings(imitation=0.1).needs_judge(real=False)
    for name in ("discriminator_features", "discriminator_style"):
        assert Settings(adversarial=0.0, **{name: 1.0}).needs_judge(real=False)
    assert not Settings(adversarial=0.0, haar=1.0).needs_judge(real=True)
