"""Training: the curves and samples of a run, while it goes on and afterwards."""

from explorer.ui.page import begin_page
from explorer.ui.views.training import following

begin_page("Training", "Follow a run: its curves, its samples, and how its codes are used.")
following.show()
