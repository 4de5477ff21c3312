"""The module that existing EAS processors import.

::

    import allspark

    class MyProcessor(allspark.BaseProcessor):
        def initialize(self):
            self.model = load(self.get_model_path())

        def process(self, data):
            return self.model.predict(data), 200

    if __name__ == "__main__":
        runner = MyProcessor(worker_threads=10)
        runner.run()

It has the names and the behaviour of PAI-EAS' own module, no more: such a script runs unchanged, under the
engine as well as by hand (``python app.py``, which puts a whole engine in front of the script). New code is
better off with ``eas_sdk``, which also shows the request's head and lets an answer have header fields.
"""

from allspark.processor import BaseProcessor
from allspark.properties import Properties, default_properties

__all__ = ["BaseProcessor", "Properties", "default_properties"]
