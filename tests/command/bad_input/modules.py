"""Training functions that are not there, or cannot be used."""

from tests.command.bad_input.case import case, module, sweep

CASES = [
    case(
        "a function without its module",
        "train: must be 'module:function', such as trainer:train; got 'trainer.train'",
        file=sweep(train="trainer.train"),
    ),
    case(
        "a file that does not exist",
        "train: there is no file ./my.py for './my.py:train', neither beside the sweep file nor in",
        file=sweep(train="./my.py:train"),
    ),
    case(
        "a module that does not exist",
        "train: no module 'nowhere' for 'nowhere:train'; it must be installed, or lie in the",
        "current directory (",
        file=sweep(train="nowhere:train"),
    ),
    case(
        "a misspelt module in the current directory names the nearest",
        "train: no module 'bad_netwrok' for 'bad_netwrok:train'",
        "did you mean 'bad_network'?",
        file=sweep(train="bad_netwrok:train"),
        files={"bad_network.py": "def train(config): ...\n"},
    ),
    case(
        "a function that does not exist names the nearest",
        "train: module 'trainer' has no 'trian'; did you mean 'train'?",
        file=sweep(train="trainer:trian"),
    ),
    case(
        "a function that is like no other lists those there are",
        "train: module 'trainer' has no 'fit'; valid are check, ",
        file=sweep(train="trainer:fit"),
    ),
    case(
        "a value that is no function",
        "train: trainer:METRICS must be a function, got a value of type tuple",
        file=sweep(train="trainer:METRICS"),
    ),
    module(
        "a function that takes no configuration",
        "bad_signature",
        "def train(): ...\n",
        "train: bad_signature:train must be callable as train(config)",
        "too many positional arguments",
    ),
    module(
        "a function that takes more than a configuration",
        "bad_arguments",
        "def train(config, device, *, report): ...\n",
        "missing a required argument: 'device'",
    ),
    module(
        "a module that raises when it is imported",
        "bad_raises",
        "import json\n\njson.loads('no')\n",
        "train: importing 'bad_raises' failed in ",
        "/bad_raises.py, line 3: JSONDecodeError: Expecting value",
    ),
    module(
        "a module that imports what is not installed",
        "bad_imports",
        "import numpy\nimport torhc\n",
        "/bad_imports.py, line 2: ModuleNotFoundError: No module named 'torhc'",
    ),
    module(
        "a module with a syntax error",
        "bad_syntax",
        "x = 1\ndef train(:\n",
        "/bad_syntax.py, line 2: SyntaxError: ",
    ),
    module(
        "a module that exits when it is imported",
        "bad_exit",
        "import sys\nsys.exit()\n",
        "/bad_exit.py, line 2: SystemExit",
    ),
    module(
        "a module's own check of a configuration",
        "bad_check",
        "def train(config): ...\ndef check(config): raise ValueError('lr must be odd')\n",
        "parameters: lr must be odd",
    ),
    module(
        "a check that fails by itself",
        "bad_checker",
        "def train(config): ...\ndef check(config): config['rate']\n",
        "parameters: bad_checker.check failed in ",
        "/bad_checker.py, line 2: KeyError: 'rate'",
    ),
    module(
        "a preparation that fails by itself",
        "bad_prepare",
        "def train(config): ...\ndef prepare(configs): open('data.csv')\n",
        "bad_prepare.prepare failed in ",
        "/bad_prepare.py, line 2: FileNotFoundError: [Errno 2] No such file or directory",
    ),
]
