package ledger_test

import (
	"strconv"
	"strings"
	"testing"

	"vitrine.example/internal/ledger"
	"vitrine.example/internal/meter"
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
	reg := meter.NewRegistry()
	for _, c := range l.Collectors() {
		if err := reg.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]float64{}
	for line := range strings.Lines(string(reg.Text())) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), " "); name != "#" {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			got[name] = v
		}
	}
	for name, want := range map[string]float64{
		`vitrine_log_adds_total{outcome="new"}`: 7, `vitrine_log_adds_total{outcome="duplicate"}`: 2, `vitrine_log_adds_total{outcome="failed"}`: 1,
		"vitrine_log_sequenced_entries": 7, "vitrine_log_published_entries": 7, "vitrine_log_publish_seconds_count": 7,
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
