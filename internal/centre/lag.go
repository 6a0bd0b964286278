package centre

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"vitrine.example/internal/projection"
)

// lag measures how far the pages are behind each log that they follow.
type lag struct{ *projection.Projection }

var (
	behindEntries = prometheus.NewDesc("vitrine_projection_behind_entries",
		"Published entries of a log that the pages do not show yet.", []string{"log"}, nil)
	behindSeconds = prometheus.NewDesc("vitrine_projection_behind_seconds",
		"Seconds since the oldest of these was first seen.", []string{"log"}, nil)
	missingStatements = prometheus.NewDesc("vitrine_projection_missing_statements",
		"Entries of a log whose statement is not held here, or does not fit.", []string{"log"}, nil)
	followFailing = prometheus.NewDesc("vitrine_projection_failing",
		"1 while a log cannot be followed.", []string{"log"}, nil)
)

// Describe implements prometheus.Collector.
func (l lag) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{behindEntries, behindSeconds, missingStatements, followFailing} {
		c <- d
	}
}

// Collect implements prometheus.Collector; what cannot be measured is left out.
func (l lag) Collect(c chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), gaugeTimeout)
	defer cancel()
	all, err := l.Logs(ctx)
	if err != nil {
		return
	}
	for _, s := range all {
		failing := 0.0
		if s.Problem != nil {
			failing = 1
		}
		for _, m := range []struct {
			d *prometheus.Desc
			v float64
		}{
			{behindEntries, float64(s.Behind())}, {behindSeconds, s.Late.Seconds()},
			{missingStatements, float64(s.Missing)}, {followFailing, failing},
		} {
			c <- prometheus.MustNewConstMetric(m.d, prometheus.GaugeValue, m.v, s.Origin)
		}
	}
}
