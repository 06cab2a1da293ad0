"""Parameters that the shipped trainer refuses, or no search space can have."""

from tests.command.bad_input.case import parameters

DISTRIBUTIONS = "uniform, log_uniform, int_uniform, int_log_uniform or choice"

CASES = [
    parameters(
        "an unknown parameter names the nearest",
        "{batchsize: 64}",
        "parameters.batchsize: unknown key; did you mean 'batch_size'?",
    ),
    parameters(
        "an unknown parameter that is like no other lists them all",
        "{zzz: 1}",
        "parameters.zzz: unknown key; valid are batch_size, beta1, beta2, clip, data_dir,",
    ),
    parameters(
        "each bad value of a grid is named",
        "{lr: [0.1, -1, fast], epochs: [1, 0]}",
        "parameters.lr: must be greater than 0, got -1",
        "parameters.lr: must be a number, got 'fast'",
        "parameters.epochs: must be at least 1, got 0",
    ),
    parameters(
        "hundreds of bad values are counted",
        f"{{lr: {[-n for n in range(1, 101)]}}}",
        "parameters.lr: must be greater than 0, got -30\n  ... and 70 more",
    ),
    parameters(
        "seeds that are no whole numbers",
        "{seed: [1, a], dataset: digits}",
        "parameters.seed: must be a whole number, got 'a'",
    ),
    parameters(
        "a seed that is drawn from all numbers",
        "{seed: {uniform: [0, 1]}, dataset: digits}",
        "parameters.seed: must be a whole number; draw it by int_uniform",
    ),
    parameters("text for a number", "{lr: fast}", "parameters.lr: must be a number, got 'fast'"),
    parameters(
        "a number in quotes",
        '{lr: "0.1"}',
        "parameters.lr: must be a number, got '0.1'; write it without quotes",
    ),
    parameters(
        "a whole number in quotes",
        '{batch_size: "64"}',
        "parameters.batch_size: must be a whole number, got '64'; write it without quotes",
    ),
    parameters(
        "yes for true",
        "{shuffle: yes}",
        "parameters.shuffle: must be true or false, got 'yes'",
    ),
    parameters("one for true", "{shuffle: 1}", "parameters.shuffle: must be true or false, got 1"),
    parameters(
        "a date for a number",
        "{lr: 2020-01-01}",
        "parameters.lr: must be a number, got '2020-01-01'",
    ),
    parameters("null for a number", "{lr: null}", "parameters.lr: must be a number, got null"),
    parameters(
        "a tagged date",
        "{lr: !!timestamp 2020-01-01}",
        "parameters.lr: must be a number, text, true, false or null, got datetime.date(",
    ),
    parameters("a rate of zero", "{lr: 0}", "parameters.lr: must be greater than 0, got 0"),
    parameters("a negative rate", "{lr: -0.1}", "parameters.lr: must be greater than 0, got -0.1"),
    parameters("no number", "{lr: .nan}", "parameters.lr: must be a finite number, got nan"),
    parameters("infinity", "{lr: [.inf]}", "parameters.lr: must be a finite number, got inf"),
    parameters(
        "batches of nothing",
        "{batch_size: 0}",
        "parameters.batch_size: must be at least 1, got 0",
    ),
    parameters(
        "batches of less than nothing",
        "{batch_size: -32}",
        "parameters.batch_size: must be at least 1, got -32",
    ),
    parameters(
        "half an image",
        "{batch_size: 32.5}",
        "parameters.batch_size: must be a whole number, got 32.5",
    ),
    parameters(
        "batches larger than the training set",
        "{dataset: digits, batch_size: [64, 2000]}",
        "batch_size must be at most 1,500, the training images of digits; got 2,000",
    ),
    parameters("no epochs", "{epochs: 0}", "parameters.epochs: must be at least 1, got 0"),
    parameters(
        "too much momentum",
        "{momentum: 1.5}",
        "parameters.momentum: must be less than 1, got 1.5",
    ),
    parameters(
        "negative weight decay",
        "{weight_decay: -1e-4}",
        "parameters.weight_decay: must be at least 0, got -0.0001",
    ),
    parameters(
        "an unknown data set names the nearest",
        "{dataset: digit}",
        "parameters.dataset: must be 'fashion_mnist' or 'digits', got 'digit'",
        "did you mean 'digits'?",
    ),
    parameters(
        "an unknown optimizer names the nearest",
        "{optimizer: adma}",
        "parameters.optimizer: must be 'adam', 'adamw' or 'sgd', got 'adma'",
        "did you mean 'adam'?",
    ),
    parameters(
        "an empty axis",
        "{lr: []}",
        "parameters.lr: a grid axis needs at least one value, got []",
    ),
    parameters(
        "a value twice in an axis",
        "{lr: [0.1, 0.2, 0.1]}",
        "parameters.lr: a grid axis needs distinct values, got 0.1 twice",
    ),
    parameters(
        "equal values in an axis",
        "{lr: [1, 1.0]}",
        "parameters.lr: a grid axis needs distinct values, got 1.0 twice",
    ),
    parameters(
        "bounds the wrong way round",
        "{lr: {uniform: [1, 0.1]}}",
        "parameters.lr: uniform needs low < high in [low, high], got [1, 0.1]",
    ),
    parameters(
        "a logarithm of zero",
        "{lr: {log_uniform: [0, 1]}}",
        "parameters.lr: log_uniform needs low > 0 in [low, high], got [0, 1]",
    ),
    parameters(
        "an unknown distribution names the nearest",
        "{lr: {loguniform: [1e-3, 1]}}",
        f"parameters.lr: a distribution must be {DISTRIBUTIONS}; got 'loguniform';",
        "did you mean 'log_uniform'?",
    ),
    parameters(
        "three bounds",
        "{lr: {uniform: [1, 2, 3]}}",
        "parameters.lr: uniform needs two finite numbers [low, high], got [1, 2, 3]",
    ),
    parameters(
        "a fraction as a bound of whole numbers",
        "{batch_size: {int_uniform: [8, 16.5]}}",
        "parameters.batch_size: int_uniform needs two finite whole numbers [low, high], got [8, 16",
    ),
    parameters(
        "two distributions for one parameter",
        "{lr: {uniform: [1, 2], choice: [1]}}",
        f"parameters.lr: a distribution has exactly one of the keys {DISTRIBUTIONS}; got {{'unif",
    ),
    parameters(
        "a choice of nothing",
        "{lr: {choice: []}}",
        "parameters.lr: choice needs at least one value, got []",
    ),
    parameters(
        "a choice that is no list",
        "{lr: {choice: 3}}",
        "parameters.lr: choice needs a list of values, got 3",
    ),
    parameters(
        "weights that are not those of the values",
        "{optimizer: {choice: [adam, sgd], weights: [1]}}",
        "parameters.optimizer: weights must be one number more than 0 for each of the 2 values,",
    ),
    parameters(
        "a step wider than the range",
        "{lr: {uniform: [0, 1], step: 2}}",
        "parameters.lr: step must be a number more than 0 and at most high - low = 1, got 2",
    ),
    parameters(
        "every problem within a group is told with its dotted name",
        "{dataset: digits, model: {width: [], deep: {act: {choice: 3}}}}",
        "parameters.model.width: a grid axis needs at least one value, got []",
        "parameters.model.deep.act: choice needs a list of values, got 3",
    ),
    parameters(
        "W&B's list of values",
        "{lr: {values: [0.1, 0.01]}}",
        "parameters.lr: {'values': [0.1, 0.01]} is another tool's form; a list is a grid axis:"
        " [0.1, 0.01]",
    ),
    parameters(
        "W&B's range",
        "{lr: {min: 0.0001, max: 0.1, distribution: log_uniform_values}}",
        "here it is written: {log_uniform: [0.0001, 0.1]}",
    ),
    parameters(
        "Ray Tune's grid",
        "{lr: {grid_search: [1, 2]}}",
        "parameters.lr: a grid is the list itself here: [1, 2]",
    ),
    parameters(
        "a call of Ray Tune's",
        "{lr: 'tune.loguniform(1e-4, 1e-1)'}",
        "is text here; write {log_uniform: [1e-4, 1e-1]}",
    ),
    parameters(
        "Hydra's choice",
        '{optimizer: "choice(adam, sgd)"}',
        "is text here; write [adam, sgd] or {choice: [adam, sgd]}",
    ),
]
