"""Keys of a sweep file that are unknown, missing, or have a bad value."""

from sweeps.definition.space import MAX_TRIALS
from tests.command.bad_input.case import case, sweep

NAME_RULE = "name: must be 1 to 64 letters, digits, '.', '_' or '-', starting with a letter or"


def axis(length: int) -> str:
    return str(list(range(1, length + 1)))


CASES = [
    case(
        "every problem of a file is told at once with its dotted path",
        "name: must be 1 to 64 letters",
        "train: must be 'module:function', such as trainer:train; got 'x'",
        "metric: must be text, got null",
        "mode: must be 'max' or 'min', got 'maximum'; did you mean 'max'?",
        "parameters.lr: a grid axis needs at least one value, got []",
        "parameters.epochs: a distribution has exactly one of the keys",
        "samples: must be at least 1, got 0",
        "seeds: must be at least 1, got 0",
        "resources.cpus: unknown key; did you mean 'cpu'?",
        "resources.gpu: must be auto or a number",
        "max_failures: must be at least 0, got -1",
        "repeat: unknown key; valid are ",
        "max_failures, metric, mode, name, parameters, resources, sample_seed, samples, search,",
        file=sweep(
            name="a/b",
            train="x",
            metric="",
            mode="maximum",
            parameters="{lr: [], epochs: {}}",
            samples="0",
            seeds="0",
            resources="{cpus: 2, gpu: some}",
            max_failures="-1",
            repeat="3",
        ),
    ),
    *(
        case(
            f"select: {value} is no rule by which an epoch is chosen",
            "select: must be last, best, or which metric chooses the epoch, such as"
            " {min: loss/validation}; got ",
            file=sweep(select=value),
        )
        for value in ("first", "{lowest: loss}", "{min: 3}", "{min: a, max: b}", "[last]")
    ),
    case(
        "what the trainer says of its parameters is told with what is wrong elsewhere",
        "metric: must have at least 1 character, got ''",
        "mode: must be 'max' or 'min', got 'best'",
        "seeds: must be at least 1, got 0",
        "parameters.batchsize: unknown key; did you mean 'batch_size'?",
        "parameters.lr: must be greater than 0, got -1",
        file=sweep(metric='""', mode="best", seeds="0", parameters="{batchsize: 3, lr: [0.1, -1]}"),
    ),
    case(
        "a function that is not there is told with what is wrong elsewhere",
        "metric: required, but missing",
        "max_failures: must be at least 0, got -1",
        "train: module 'trainer' has no 'trian'; did you mean 'train'?",
        file="{name: mine, train: 'trainer:trian', mode: max, max_failures: -1, parameters: {}}",
    ),
    case(
        "keys that are missing are all listed",
        *(f"{key}: required, but missing" for key in ("name", "metric", "mode", "parameters")),
        file="train: trainer:train\n",
    ),
    case(
        "an unknown key names the nearest",
        "max_failure: unknown key; did you mean 'max_failures'?",
        file=sweep(max_failure="3"),
    ),
    case(
        "an unknown key of resources names the nearest",
        "resources.gpus: unknown key; did you mean 'gpu'?",
        file=sweep(resources="{gpus: 1}"),
    ),
    case(
        "resources that are no mapping",
        "resources: must be a mapping, got 2",
        file=sweep(resources="2"),
    ),
    case(
        "parameters that are no mapping",
        "parameters: must be a mapping, got 'lr'",
        file=sweep(parameters="lr"),
    ),
    case(
        "parameters without a value",
        "parameters: must be a mapping, got null",
        file=sweep(parameters=""),
    ),
    case("a name with a slash", NAME_RULE, "got 'a/b'", file=sweep(name="a/b")),
    case("a name that leads out", NAME_RULE, "got '../up'", file=sweep(name="../up")),
    case("an absolute path for a name", NAME_RULE, "got '/etc/mine'", file=sweep(name="/etc/mine")),
    case("a backslash in a name", NAME_RULE, r"got 'a\\b'", file=sweep(name=r"a\b")),
    case("a line break in a name", NAME_RULE, r"'a\n'", file=sweep(name=r'"a\n"')),
    case("a name of dots", NAME_RULE, "got '..'", file=sweep(name="..")),
    case("a name with a leading dash", NAME_RULE, "got '-rf'", file=sweep(name="-rf")),
    case("an empty name", NAME_RULE, "got ''", file=sweep(name='""')),
    case("a name that is too long", NAME_RULE, "got 'nnn", "nnn...", file=sweep(name="n" * 300)),
    case("a control character in a name", NAME_RULE, r"'a\x07'", file=sweep(name=r'"a\u0007"')),
    case(
        "a name that is a number",
        "name: must be text, got 3; write it in quotes",
        file=sweep(name="3"),
    ),
    case(
        "a metric that the trainer never reports names the nearest",
        "metric: 'accuracy/tset' is never reported; did you mean 'accuracy/test'?",
        file=sweep(metric="accuracy/tset"),
    ),
    case(
        "an empty metric",
        "metric: must have at least 1 character, got ''",
        file=sweep(metric='""'),
    ),
    case(
        "a mode that is neither min nor max",
        "mode: must be 'max' or 'min', got 'best'",
        file=sweep(mode="best"),
    ),
    case("no samples", "samples: must be at least 1, got 0", file=sweep(samples="0")),
    case(
        "samples without a distribution to draw them from",
        "samples: must be 1 if no parameter is a distribution to draw from, got 3;",
        "to repeat every configuration, use seeds",
        file=sweep(samples="3"),
    ),
    case("no seeds", "seeds: must be at least 1, got 0", file=sweep(seeds="0")),
    case("half a seed", "seeds: must be a whole number, got 2.5", file=sweep(seeds="2.5")),
    case(
        "seeds together with a seed",
        "seeds: must be 1 if parameters.seed is given, got 2; leave one out",
        "mode: must be",
        file=sweep(seeds="2", parameters="{seed: 7, dataset: digits}", mode="best"),
    ),
    case(
        "a negative number of failures",
        "max_failures: must be at least 0, got -1",
        file=sweep(max_failures="-1"),
    ),
    case(
        "more trials than the cap",
        f"parameters: must make at most {MAX_TRIALS:,} trials, got 160,000;",
        "give fewer values, samples or seeds",
        file=sweep(parameters=f"{{lr: {axis(400)}, batch_size: {axis(400)}}}"),
    ),
    case(
        "more seeds than the cap",
        f"at most {MAX_TRIALS:,} trials, got {MAX_TRIALS + 1:,};",
        file=sweep(seeds=str(MAX_TRIALS + 1)),
    ),
    case(
        "no processor",
        "resources.cpu: must be at least 0.0001, got 0",
        file=sweep(resources="{cpu: 0}"),
    ),
    case(
        "more processors than the machine has",
        "a trial asks for 3 CPU and 0 GPU, but no node has that (nodes have: 2 CPU and 0 GPU);",
        "lower resources.cpu",
        file=sweep(resources="{cpu: 3}"),
        command="run sweep.yaml --cpus 2 --gpus 0",
    ),
    case(
        "a GPU where there is none",
        "a trial asks for 1 CPU and 1 GPU, but no node has that (nodes have: 2 CPU and 0 GPU);",
        file=sweep(resources="{gpu: 1}"),
        command="plan sweep.yaml --cpus 2 --gpus 0",
    ),
    case(
        "fewer GPUs than none",
        "resources.gpu: must be auto or a number of GPUs, at least 0; got -1",
        file=sweep(resources="{gpu: -1}"),
    ),
    case(
        "one GPU and a half",
        "resources.gpu: must be a whole number if it is more than 1, got 1.5",
        file=sweep(resources="{gpu: 1.5}"),
    ),
    case(
        "some GPUs",
        "resources.gpu: must be auto or a number of GPUs, at least 0; got 'some'",
        file=sweep(resources="{gpu: some}"),
    ),
    case(
        "an array of no trials",
        "fuse: must be auto, off, or the most trials in one array; got 0",
        file=sweep(fuse="0"),
    ),
    case(
        "a smaller part of a GPU than Ray can give",
        "resources.gpu: must be 0 or at least 0.0001, got 1e-09",
        file=sweep(resources="{gpu: 1e-9}"),
    ),
]
