package ledger_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"vitrine.example/internal/ledger"
	"vitrine.example/internal/store/storetest"
)

// The metrics register together and say what happened.
func TestCollectors(t *testing.T) {
	t.Parallel()
	l := open(t, options(t, t.TempDir(), storetest.Open(t, storetest.SQLite(t))))
	addAll(t, l, leaves(0, 5))
	addAll(t, l, leaves(3, 7)) // 3 and 4 again
	if _, err := l.Add(t.Context(), make([]byte, ledger.MaxEntry+1)); err == nil {
		t.Fatal("too large an entry was taken")
	}
	reg := prometheus.NewPedanticRegistry()
	for _, c := range l.Collectors() {
		if err := reg.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	for name, want := range map[string]float64{
		"vitrine_log_adds_total new": 7, "vitrine_log_adds_total duplicate": 2, "vitrine_log_adds_total failed": 1,
		"vitrine_log_sequenced_entries": 7, "vitrine_log_published_entries": 7, "vitrine_log_publish_seconds": 7,
		"vitrine_log_waiting_calls": 0, "vitrine_log_queued_entries": 0, "vitrine_log_refusing": 0,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v, %v, want %v", name, v, ok, want)
		}
	}
	if got["vitrine_log_checkpoints_total"] < 2 || got["vitrine_log_checkpoint_timestamp_seconds"] < 1.7e9 {
		t.Errorf("checkpoints: %v", got)
	}
}
