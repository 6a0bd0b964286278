package meter

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// ContentType is that of the text format.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Registerer takes metrics.
type Registerer interface {
	Register(Collector) error
	MustRegister(...Collector)
}

// Registry holds metrics and shows them.
type Registry struct {
	mu    sync.Mutex
	all   []Collector
	taken map[string]bool
}

// NewRegistry makes an empty registry.
func NewRegistry() *Registry { return &Registry{taken: map[string]bool{}} }

// Register adds a metric, or says what is wrong with its name or labels, or that
// the name is taken.
func (r *Registry) Register(c Collector) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := c.describe()
	for _, f := range d {
		if err := f.check(); err != nil {
			return fmt.Errorf("metric %.80q: %w", f.name, err)
		}
		if r.taken[f.name] {
			return fmt.Errorf("metric %s: the name is taken", f.name)
		}
	}
	for _, f := range d {
		r.taken[f.name] = true
	}
	r.all = append(r.all, c)
	return nil
}

// MustRegister adds metrics whose names are known to be good.
func (r *Registry) MustRegister(all ...Collector) {
	for _, c := range all {
		if err := r.Register(c); err != nil {
			panic(err)
		}
	}
}

func (f family) check() error {
	if !named(f.name, true) {
		return errors.New("the name is none of Prometheus: letters, digits and _, no digit first")
	}
	seen := map[string]bool{}
	for _, l := range f.labelNames {
		switch {
		case !named(l, false) || strings.HasPrefix(l, "__") || l == "le" && f.kind == histogramKind:
			return fmt.Errorf("%.80q cannot be a label", l)
		case seen[l]:
			return fmt.Errorf("it has the label %s twice", l)
		}
		seen[l] = true
	}
	return nil
}

// named reports whether s is a name; those of metrics may have colons.
func named(s string, colons bool) bool {
	for i, c := range []byte(s) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || colons && c == ':'
		if !letter && (i == 0 || c < '0' || '9' < c) {
			return false
		}
	}
	return s != ""
}

// Text returns all metrics in the text format, sorted by name.
func (r *Registry) Text() []byte {
	r.mu.Lock()
	collectors := slices.Clone(r.all)
	r.mu.Unlock()
	var all []family
	for _, c := range collectors {
		all = append(all, c.collect()...)
	}
	slices.SortFunc(all, func(a, b family) int { return strings.Compare(a.name, b.name) })
	var b bytes.Buffer
	for _, f := range all {
		f.write(&b)
	}
	return b.Bytes()
}

// ServeHTTP answers with all metrics.
func (r *Registry) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", ContentType)
	_, _ = w.Write(r.Text()) // whoever asked has gone
}

var (
	helpText  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	valueText = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

func (f family) write(b *bytes.Buffer) {
	if len(f.samples) == 0 {
		return
	}
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", f.name, helpText.Replace(f.help), f.name, f.kind)
	for _, s := range f.samples {
		b.WriteString(f.name + s.suffix)
		for i, l := range s.labels {
			b.WriteByte("{,"[min(i, 1)])
			b.WriteString(l.name + `="` + valueText.Replace(strings.ToValidUTF8(l.value, "\uFFFD")) + `"`)
		}
		if len(s.labels) > 0 {
			b.WriteByte('}')
		}
		b.WriteString(" " + shown(s.value) + "\n")
	}
}

// shown writes a number as the format wants it.
func shown(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
