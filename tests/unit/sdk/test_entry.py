"""What kind of program an entry is, told from its text."""

from __future__ import annotations

import ast
import textwrap

import pytest

from eas_host.entry import EntryError, is_script, read

SPARK = "import allspark\nclass P(allspark.BaseProcessor):\n    pass\n"
NATIVE = "import eas_sdk\nclass P(eas_sdk.Processor):\n    pass\n"

SCRIPTS = {
    "the template": SPARK
    + "if __name__ == '__main__':\n    runner = P(worker_threads=10)\n    runner.run()\n",
    "other way round": SPARK + 'if "__main__" == __name__:\n    P().run()\n',
    "module level": SPARK + "P().run()\n",
    "alias": "import allspark as a\nclass P(a.BaseProcessor):\n    pass\nP().run()\n",
    "from": "from allspark import BaseProcessor\nclass P(BaseProcessor):\n    pass\nP().run()\n",
    "from as": "from allspark import BaseProcessor as B\nclass P(B):\n    pass\nP().run()\n",
    "star": "from allspark import *\nclass P(BaseProcessor):\n    pass\nP().run()\n",
    "in main()": SPARK + "def main():\n    P().run()\nif __name__ == '__main__':\n    main()\n",
    "two calls deep": SPARK + "def serve(p):\n    p.run()\ndef main():\n    serve(P())\nmain()\n",
    "recursive": SPARK + "def f(n):\n    f(n - 1)\n    P().run()\nf(3)\n",
    "in try": SPARK
    + "if __name__ == '__main__':\n    try:\n        P().run()\n    except ValueError:\n        pass\n",
    "in with": SPARK + "with open('x') as f:\n    P().run()\n",
    "and more": SPARK + "if __name__ == '__main__' and True:\n    P().run()\n",
    "base elsewhere": (
        "from base import B\nclass P(B):\n    pass\nif __name__ == '__main__':\n    P().run()\n"
    ),
    "all elsewhere": "from serving import main\nif __name__ == '__main__':\n    main()\n",
    "object elsewhere": "import allspark\nfrom serving import start\nstart()\n",
    "method of a class": SPARK + "class App:\n    def go(self):\n        P().run()\nApp().go()\n",
    "import in a function": (
        "def main():\n    import allspark\n    from mine import P\n    P().run()\nmain()\n"
    ),
}
MODULES = {
    "native": NATIVE,
    "native alias": "import eas_sdk as e\nclass P(e.Processor):\n    pass\n",
    "native from": "from eas_sdk import Processor as Q\nclass P(Q):\n    pass\n",
    "native submodule": "from eas_sdk.processor import Processor\nclass P(Processor):\n    pass\n",
    "native with a test run": NATIVE
    + "if __name__ == '__main__':\n    import eas_sdk.testing\n    eas_sdk.testing.run(P, [])\n",
    "native with subprocess": NATIVE + "import subprocess\nsubprocess.run(['true'])\n",
    "native with another run": NATIVE + "if __name__ == '__main__':\n    Tests().run()\n",
    "allspark without run": SPARK,
    "allspark with run never called": SPARK + "def main():\n    P().run()\n",
    "allspark with run in a lambda": SPARK + "go = lambda: P().run()\n",
    "unknown base": "from base import Base\nclass P(Base):\n    pass\n",
    "not main": SPARK + "if __name__ == 'main':\n    pass\n",
    "nothing": "",
    "unknown base with a main block": (
        "from base import B\nclass P(B):\n    pass\nif __name__ == '__main__':\n    go(P)\n"
    ),
}
BOTH = {
    "two classes": SPARK + NATIVE.replace("P(", "Q("),
    "a class and a run": NATIVE + "from mine import spark\nimport allspark\nspark.run()\n",
}


@pytest.mark.parametrize("case", SCRIPTS)
def test_scripts(case: str) -> None:
    assert is_script(SCRIPTS[case].encode(), "app.py", None)


@pytest.mark.parametrize("case", MODULES)
def test_modules(case: str) -> None:
    assert not is_script(MODULES[case].encode(), "app.py", None)


@pytest.mark.parametrize("case", BOTH)
def test_both_is_refused_unless_the_class_is_named(case: str) -> None:
    with pytest.raises(EntryError, match=r"both a native processor and an allspark one: class . \(line"):
        is_script(BOTH[case].encode(), "app.py", None)
    assert not is_script(BOTH[case].encode(), "app.py", "Q")


def test_the_source_may_declare_its_encoding() -> None:
    assert is_script(("# coding: gbk\n" + SPARK + "P().run()  # 中文\n").encode("gbk"), "app.py", None)


def test_description_names_classes_lines_and_runs() -> None:
    facts = read(
        ast.parse(
            textwrap.dedent("""\
            import allspark as a
            class Base(a.BaseProcessor): pass
            class P(Base, metaclass=M): pass
            class Q(make()): pass
            P().run()
            """)
        )
    )
    assert facts.describe() == (
        "class Base (line 2, of allspark.BaseProcessor); class P (line 3, of Base); class Q (line 4, of ?); "
        "a call of run() (line 5)"
    )
    assert [each.name for each in facts.derived("allspark.BaseProcessor")] == ["Base", "P"]
