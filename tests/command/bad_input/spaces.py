"""Keys that bind several parameters, or say how they are searched."""

from typing import Any

from tests.command.bad_input.case import case, sweep

SPACE = "{dataset: digits, lr: [0.1, 0.2], batch_size: [32, 64, 128], optimizer: [adam, sgd]}"


def space(sentence: str, *says: str, **keys: str) -> Any:
    return case(sentence, *says, file=sweep(**{"parameters": SPACE, **keys}))


CASES = [
    space(
        "all that is wrong with pairs, exclusions and conditions is told at once",
        "zip.0: needs as many values of each, and lr has 2, batch_size has 3",
        "zip.1: there is no parameter 'optimiser'; did you mean 'optimizer'?",
        "zip.1: dataset must be a list of values, and is one value",
        "exclude.0.lr: it never has the value 0.3; it has 0.1, 0.2",
        "exclude.1.optimizer: it never has the value 'adma'; did you mean 'adam'?",
        "when.momentm: there is no parameter 'momentm'",
        zip="[[lr, batch_size], [optimiser, dataset]]",
        exclude="[{lr: 0.3}, {optimizer: [adma]}]",
        when="{momentm: {optimizer: sgd}}",
    ),
    space(
        "parameters that exist only where each other does",
        "when.lr: depends on itself",
        when="{lr: {optimizer: sgd}, optimizer: {lr: 0.1}}",
    ),
    space(
        "an exclusion of everything", "exclude: leaves no configuration", exclude="[{lr: {min: 0}}]"
    ),
    space(
        "a configuration given twice, and one of an axis",
        "configurations.0.lr: has values in parameters already; leave it out there",
        "configurations.2: must be a mapping of parameters to values, got 3",
        configurations="[{lr: 1, momentum: 0.5}, {momentum: 0.1}, 3]",
    ),
    space(
        "when within a parameter",
        "parameters.momentum: when stands beside parameters, not within:",
        parameters="{dataset: digits, momentum: {uniform: [0, 0.9], when: {optimizer: sgd}}}",
    ),
    space(
        "an unknown search names the nearest",
        "search: must be halving, population, tpe, gp, cmaes or random, got 'halvin'; did you mean"
        " 'halving'?",
        search="halvin",
    ),
    space(
        "an unknown key of search names the nearest",
        "search.trails: unknown key; did you mean 'trials'?",
        search="{sampler: tpe, trails: 3}",
    ),
    space(
        "an unknown sampler",
        "search.sampler: must be 'tpe', 'gp', 'cmaes' or 'random', got 'bayes'",
        search="{sampler: bayes}",
    ),
    space(
        "numbers of a sampler without one",
        "search: at_once, trials is for a sampler, and none is named",
        search="{halving: true, trials: 3, at_once: 2}",
    ),
    space(
        "a factor that halves nothing",
        "search.halving.factor: must be at least 2, got 1",
        search="{halving: {factor: 1}}",
    ),
    space(
        "a population beside a sampler",
        "search: population is a search of its own: leave it or a sampler out",
        search="{population: true, sampler: tpe}",
    ),
    space(
        "a population of one, with nothing to change",
        "search.population: needs a parameter to change, an axis or a distribution that is in the"
        " CHANGEABLE of trainer:train: lr, weight_decay",
        "search.population: needs at least 2 configurations to begin with, got 1",
        parameters="{dataset: digits, epochs: 4}",
        search="population",
    ),
    space(
        "what a population may not change",
        "search.population.perturb: there is no parameter 'lrr'; did you mean 'lr'?",
        "search.population.perturb: dataset must be an axis or a distribution of its own",
        "search.population.perturb: trainer:train does not say that a run may go on with another"
        " optimizer; its CHANGEABLE names lr,",
        parameters="{dataset: digits, lr: [0.1, 0.2], optimizer: [adam, sgd], epochs: 4}",
        search="{population: {perturb: [lrr, dataset, optimizer]}}",
    ),
    space(
        "a rung beyond the budget",
        "search.population.every: must be less than parameters.epochs = 4, got 9",
        parameters="{dataset: digits, lr: [0.1, 0.2], epochs: 4}",
        search="{population: {every: 9}}",
    ),
    space(
        "a budget that leaves no room for rungs",
        "search.halving: needs one whole number of at least 2 for parameters.epochs, the whole"
        " budget of a trial; got 1",
        parameters="{dataset: digits, lr: [0.1, 0.2], epochs: 1}",
        search="halving",
    ),
    space(
        "factors that change nothing",
        "factors must be numbers more than 0 and not 1, such as [0.8, 1.25]; got [1.0]",
        search="{population: {factors: [1]}}",
    ),
    space(
        "samples beside a sampler",
        "samples: must be 1 with a sampler, got 3; give search.trials",
        parameters="{dataset: digits, lr: {uniform: [0.1, 1]}}",
        samples="3",
        search="tpe",
    ),
    space(
        "an end that never comes",
        "stop_after: needs one of hours, trials and without_gain",
        stop_after="{}",
    ),
    space(
        "evenly spread points of nothing",
        "draws: no parameter is a distribution to draw from, got sobol",
        draws="sobol",
    ),
    space(
        "another tool's key",
        "early_terminate: unknown key; here it is search: halving",
        "num_samples: unknown key; here it is samples: N",
        early_terminate="{type: hyperband}",
        num_samples="3",
    ),
]
