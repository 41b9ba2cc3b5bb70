"""The script that runs for every visitor: the navigation, and the page that is open."""

from explorer.ui import navigation

navigation.run()
