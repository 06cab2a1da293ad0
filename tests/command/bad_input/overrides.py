"""Overrides on the command line."""

from tests.command.bad_input.case import case, override, sweep

CASES = [
    override(
        "an override without a value",
        "seeds",
        "seeds: an override must be key=value, such as seeds=3 or parameters.lr=0.1",
    ),
    override("an override without a key", "=3", "=3: an override must be key=value"),
    override(
        "an override with an empty part", "parameters.=3", "parameters.=3: an override must be"
    ),
    override(
        "an override that is no YAML",
        "seeds=[1",
        "seeds: '[1' cannot be read as YAML: line 1, column 3: while parsing a flow sequence",
    ),
    override(
        "an override inside a value that has no keys",
        "name.x=1",
        "name.x: name must be a mapping to have the key 'x', got 'mine'",
    ),
    override(
        "a parameter without its prefix",
        "lr=0.1",
        "lr: unknown key; did you mean 'parameters.lr'?",
    ),
    override(
        "a misspelt parameter without its prefix names the nearest",
        "batchsize=32",
        "batchsize: unknown key; did you mean 'parameters.batch_size'?",
    ),
    override(
        "a key that is nearly a key and may be a parameter",
        "seed=3",
        "seed: unknown key; did you mean 'seeds' or 'parameters.seed'?",
    ),
    override(
        "an unknown key of resources in an override names the nearest",
        "resources.cpus=2",
        "resources.cpus: unknown key; did you mean 'cpu'?",
    ),
    override(
        "an override without a value",
        "parameters.lr=",
        "parameters.lr: an override needs a value, got nothing; for none, write parameters.lr=null",
    ),
    override(
        "numbers with commas between them",
        "parameters.lr=0.1,0.2",
        "parameters.lr: several values are a list, got 0.1,0.2; write 'parameters.lr=[0.1,0.2]'",
    ),
    case(
        "words with commas between them for a grid axis",
        "write 'parameters.optimizer=[adam,sgd]'",
        file=sweep(parameters="{optimizer: [sgd], dataset: digits}"),
        command="plan sweep.yaml parameters.optimizer=adam,sgd",
    ),
    override(
        "words with commas between them in the place of one",
        "parameters.optimizer=adam,sgd",
        "got adam,sgd; write 'parameters.optimizer=[adam,sgd]',"
        " or 'parameters.optimizer=\"adam,sgd\"' for a text with a comma",
    ),
    case(
        "a range as Hydra has it, for a grid axis",
        "'range(1,5)' is text here; write {int_uniform: [1, 5]}",
        file=sweep(parameters="{lr: [0.1, 0.2]}"),
        command="plan sweep.yaml parameters.lr=range(1,5)",
    ),
    override(
        "a parameter that is added as Hydra has it",
        "+parameters.z=3",
        "+parameters.z: a parameter is added without a sign; write 'parameters.z=3'",
    ),
    case(
        "a key of a search in its short form",
        "must be a mapping to have the key 'halving', got 'halving';"
        " write 'search={halving: {first: 2}}'",
        file=sweep(search="halving"),
        command="plan sweep.yaml search.halving.first=2",
    ),
    override(
        "bad overrides and bad values are told together",
        "lr=0.1 nothing seeds=0 parameters.x.normal=[0,1]",
        "lr: unknown key",
        "nothing: an override must be key=value",
        "seeds: must be at least 1, got 0",
        "parameters.x: a distribution must be",
    ),
    case(
        "an override of parameters that are no mapping",
        "lr: unknown key; did you mean 'parameters.lr'?",
        "parameters: must be a mapping, got 3",
        file=sweep(parameters="3"),
        command="plan sweep.yaml lr=1",
    ),
]
