"""Surveys: one pass over a data set of any size records when each channel is active, in a store on disk."""

from optvis.arguments import check_package
from optvis.survey.result import Survey
from optvis.survey.store import Manifest, ShardRecord, Store, list_stores
from optvis.survey.survey_channels import survey_channels

__all__ = ["Manifest", "ShardRecord", "Store", "Survey", "list_stores", "survey_channels"]

check_package(__name__)
