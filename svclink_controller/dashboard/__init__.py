"""`svclink dashboard`: a page that shows links and Services, and never writes."""
