package recipe

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// Marshal writes the recipe with comments, in the form that [Parse] reads. head
// is what its first lines say; notes are comments above parts, by their key:
// "clock", "input.0", "step.1".
func (r *Recipe) Marshal(head string, notes map[string]string) ([]byte, error) {
	w := writer{notes: notes}
	w.comment(head)
	w.line("version", "1")
	w.note("clock")
	w.line("clock", r.Clock.UTC().Format(time.RFC3339))
	w.text("hostname", r.Hostname)
	w.number("uid", r.UID)
	w.number("gid", r.GID)
	w.number("cpus", r.CPUs)
	w.words("env", r.Env)
	w.text("shell", r.Shell)
	if err := w.limits(r.Limits); err != nil {
		return nil, err
	}
	for i := range r.Inputs {
		w.input(i, &r.Inputs[i])
	}
	for i, f := range r.Files {
		w.table("file", i)
		w.text("at", f.At)
		w.text("text", f.Text)
		w.text("link", f.Link)
		w.yes("executable", f.Executable)
	}
	for i, s := range r.Steps {
		w.table("step", i)
		w.words("run", s.Run)
		w.text("dir", s.Dir)
		w.words("env", s.Env)
	}
	for i, o := range r.Outputs {
		w.table("output", i)
		w.text("path", o.Path)
		w.text("artifact", o.Artifact)
		w.text("member", o.Member)
	}
	if _, err := Parse(w.b.Bytes()); err != nil {
		return nil, fmt.Errorf("writing a recipe: %w", err)
	}
	return w.b.Bytes(), nil
}

// writer writes TOML.
type writer struct {
	b     bytes.Buffer
	notes map[string]string
}

func (w *writer) comment(s string) {
	for line := range strings.Lines(s) {
		w.b.WriteString(strings.TrimRight("# "+strings.TrimRight(line, "\n"), " ") + "\n")
	}
}

func (w *writer) note(key string) { w.comment(w.notes[key]) }

func (w *writer) table(name string, i int) {
	w.b.WriteString("\n")
	w.note(fmt.Sprintf("%s.%d", name, i))
	fmt.Fprintf(&w.b, "[[%s]]\n", name)
}

func (w *writer) line(key, value string) { fmt.Fprintf(&w.b, "%s = %s\n", key, value) }

func (w *writer) text(key, s string) {
	if s != "" {
		w.line(key, inQuotes(s))
	}
}

func (w *writer) number(key string, n int) {
	if n != 0 {
		w.line(key, fmt.Sprint(n))
	}
}

func (w *writer) yes(key string, is bool) {
	if is {
		w.line(key, "true")
	}
}

func (w *writer) words(key string, words []string) {
	if len(words) == 0 {
		return
	}
	quoted := make([]string, len(words))
	for i, s := range words {
		quoted[i] = inQuotes(s)
	}
	if one := strings.Join(quoted, ", "); len(one) < 100 {
		w.line(key, "["+one+"]")
		return
	}
	w.line(key, "[\n\t"+strings.Join(quoted, ",\n\t")+",\n]")
}

func (w *writer) limits(l Limits) error {
	d := DefaultLimits()
	if l == d || l == (Limits{}) {
		return nil
	}
	w.b.WriteString("\n[limits]\n")
	for _, x := range []struct {
		key         string
		have, usual Size
	}{{"memory", l.Memory, d.Memory}, {"disk", l.Disk, d.Disk}, {"root", l.Root, d.Root}, {"log", l.Log, d.Log}, {"output", l.Output, d.Output}} {
		if x.have == x.usual || x.have == 0 {
			continue
		}
		b, err := x.have.MarshalText()
		if err != nil {
			return fmt.Errorf("writing a recipe: limits.%s: %w", x.key, err)
		}
		w.text(x.key, string(b))
	}
	if l.Time != d.Time && l.Time != 0 {
		w.text("time", time.Duration(l.Time).String())
	}
	if l.Processes != d.Processes {
		w.number("processes", l.Processes)
	}
	return nil
}

func (w *writer) input(i int, in *Input) {
	w.table("input", i)
	w.text("name", in.Name)
	w.words("from", in.From)
	w.yes("source", in.Source)
	w.text("private", in.Private)
	if !in.SHA256.IsZero() {
		w.text("sha256", in.SHA256.String())
		w.line("size", fmt.Sprint(in.Size))
	}
	w.text("at", in.At)
	w.text("unpack", string(in.Unpack))
	w.number("strip", in.Strip)
	w.yes("executable", in.Executable)
}

// inQuotes writes a string: over several lines where it has several.
func inQuotes(s string) string {
	lines := strings.Count(s, "\n") > 1
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' && lines:
			b.WriteByte('\n')
		case r == '"' || r == '\\':
			b.WriteString("\\" + string(r))
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	if lines {
		return `"""` + "\n" + b.String() + `"""`
	}
	return `"` + b.String() + `"`
}
