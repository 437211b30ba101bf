"""One row of the project's data sets, the same for every source of images."""

from datasets import Features

from data_prep.row import ROW_SCHEMA, make_row

__all__ = ["ROW_FEATURES", "make_row"]

ROW_FEATURES = Features.from_arrow_schema(ROW_SCHEMA)
