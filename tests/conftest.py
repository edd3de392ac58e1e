"""What the tests share."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """End a test that hangs: none takes longer than a few seconds."""
    for item in items:
        item.add_marker(pytest.mark.timeout(120))
