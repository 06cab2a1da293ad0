"""Sweep files that cannot be read, or are no YAML of ours."""

from tests.command.bad_input.case import case, sweep

CASES = [
    case(
        "a missing file names the nearest one beside it",
        "sweeep.yaml: no such file, and no shipped sweep; did you mean 'sweep.yaml'?",
        command="run sweeep.yaml",
    ),
    case(
        "an unknown shipped sweep names the nearest",
        "quickstrat: no such file, and no shipped sweep; did you mean 'quickstart'?",
        command="run quickstrat",
    ),
    case(
        "a missing file that is like no other lists the shipped sweeps",
        "x/y: no such file, and no shipped sweep; shipped are fashion-mnist, quickstart",
        command="plan x/y",
    ),
    case(
        "a directory is no sweep file",
        "folder: cannot be read as a sweep file: Is a directory",
        command="run folder",
        setup=lambda folder: (folder / "folder").mkdir(),
    ),
    case(
        "a file name that is too long",
        "xxx: cannot be read as a sweep file: File name too long",
        command=f"run {'x' * 300}",
    ),
    case(
        "an empty file is told which keys it needs",
        "sweep.yaml is not a valid sweep:",
        "must be a mapping with the keys name, train, metric, mode, parameters; got nothing",
        file="",
    ),
    case(
        "a file of comments is empty too",
        "must be a mapping with the keys name, train, metric, mode, parameters; got nothing",
        file="# later\n",
    ),
    case(
        "a list is no sweep",
        "must be a mapping with the keys name, train, metric, mode, parameters; got ['a', 'b']",
        file="[a, b]",
    ),
    case(
        "bytes that are not UTF-8 are named with their place",
        "sweep.yaml: must be text in UTF-8, got the byte 0xff at position 2",
        setup=lambda folder: (folder / "sweep.yaml").write_bytes(b"a:\xff"),
    ),
    case(
        "a syntax error is named with line and column",
        "line 2, column 5: while parsing a flow sequence, expected ',' or ']', but got ':'",
        file="name: [a\nmode: max\n",
    ),
    case(
        "a tab as indentation is named with line and column",
        "line 2, column 1: ",
        r"found character '\t'",
        file="resources:\n\tcpu: 1\n",
    ),
    case(
        "a control character is named with its place",
        r"character 8: '\x01' is not allowed in YAML",
        file="name: a\x01b\n",
    ),
    case(
        "two documents in one file",
        "line 7, column 1: expected a single document in the stream, but found another document",
        file=sweep(seeds="1") + "---\n" + sweep(),
    ),
    case(
        "a repeated key",
        "line 6, column 1: the key 'name' is given twice",
        file=sweep() + "name: other\n",
    ),
    case(
        "a merge key, which YAML 1.2 has no more",
        "line 5, column 23: merge keys (<<) are not read; write the keys out here",
        file=sweep(parameters="{a: &a 1, <<: {lr: 0.1}}"),
    ),
    case(
        "a repeated key inside resources",
        "line 6, column 21: the key 'cpu' is given twice",
        file=sweep(resources="{cpu: 1, cpu: 2}"),
    ),
    case(
        "a key that is no text",
        "line 6, column 1: a key must be text, got true",
        file=sweep() + "true: 1\n",
    ),
    case(
        "a key that is a list",
        "line 6, column 15: a key must be text, got [1, 2]",
        file=sweep(resources="{? [1, 2] : 3}"),
    ),
    case(
        "a tag that would run code is not followed",
        "line 1, column 7: the tag !!python/object/apply:os.mkdir is not allowed",
        file=sweep(name="!!python/object/apply:os.mkdir [made]"),
    ),
    case(
        "a value that contains itself",
        "line 5, column 18: a value must not contain itself",
        file=sweep(parameters="{lr: &a [*a]}"),
    ),
    case(
        "a value that is nested too deeply",
        "it is nested too deeply",
        file=sweep(parameters="[" * 5000 + "]" * 5000),
    ),
    case(
        "aliases that stand for more values than fit into memory",
        "its aliases (*name) stand for 490,329,066 values, and at most 100,000 are read",
        file="a0: &a0 x\n"
        + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)),
    ),
    case(
        "a whole number of more than 64 bits",
        "a whole number must lie within 64 bits, got 1000000000000000000000000",
        file=sweep(seeds="1" + "0" * 5000),
    ),
]
