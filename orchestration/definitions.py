"""The only place that builds ``Definitions``. Kept light: every run imports it in a new process."""

import warnings

import dagster as dg

from assets.advice import advice
from assets.allocation import allocation
from assets.bandit import bandit, policy_improvement
from assets.bars import build_bars
from assets.checks import CHECKS
from assets.drift import drift
from assets.evaluation import evaluation
from assets.features import build_features
from assets.fills import fills
from assets.league import league, league_is_reproducible
from assets.learning import learning
from assets.lookahead import no_lookahead
from assets.parity import parity, parity_adds_up
from assets.partitions import daily
from assets.pooling import build_pooling, nodes_agree
from assets.promotion import promotion
from assets.reconciliation import no_breaks, reconciliation
from assets.screening import screening
from assets.situations import situations
from assets.slippage_model import slippage_model
from assets.stress import stress
from assets.training import training
from assets.universe import universe
from orchestration.decision_jobs import DECISION_JOBS, build_decision_schedules
from orchestration.environment import Configuration, load
from orchestration.jobs import JOBS
from orchestration.resources import build_resources
from orchestration.schedules import build_schedules
from orchestration.sensors import build_sensors

# Backfill policies are marked beta; the warning would stand in every run's log.
warnings.filterwarnings("ignore", category=dg.BetaWarning)


def build(configuration: Configuration) -> dg.Definitions:
    """Return everything Dagster is to know."""
    days = daily(configuration.research.backfill.first_day)
    checks = [*CHECKS, no_lookahead, no_breaks, league_is_reproducible, nodes_agree, parity_adds_up]
    keys = [key for check in [*checks, drift] for key in check.check_keys]
    switched_on = configuration.environment.schedules == "on"
    standing = dg.DefaultScheduleStatus.RUNNING if switched_on else dg.DefaultScheduleStatus.STOPPED
    return dg.Definitions(
        assets=[
            universe,
            build_bars(days),
            build_features(days),
            training,
            learning,
            evaluation,
            promotion,
            drift,
            fills,
            reconciliation,
            allocation,
            advice,
            league,
            parity,
            screening,
            slippage_model,
            situations,
            bandit,
            policy_improvement,
            stress,
            build_pooling(configuration.environment.home / "pool"),
        ],
        asset_checks=checks,
        jobs=[*JOBS, *DECISION_JOBS],
        schedules=[*build_schedules(standing), *build_decision_schedules(configuration.decisions, standing)],
        sensors=build_sensors(
            configuration, keys, dg.DefaultSensorStatus.RUNNING if switched_on else dg.DefaultSensorStatus.STOPPED
        ),
        resources=build_resources(configuration),
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Build the definitions from the environment when Dagster asks for them, not when this is imported.

    Raises:
        ConfigurationInvalid: a variable or a configuration file holds what it must not.
    """
    return build(load())
