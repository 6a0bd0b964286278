package verdict

import (
	"fmt"
	"strings"
	"time"

	"vitrine.example/tlog"
)

// Marshal writes the policy as a commented file that ParsePolicy reads back.
// The group that the quorum names becomes the table [witnesses].
func (p *Policy) Marshal() ([]byte, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	var w policyWriter
	w.comment("What a file must prove before it is used. Check it with: vitrine policy check FILE")
	w.comment("Every requirement here must be met. A line that is left out asks for nothing.")
	w.line("version = %d", policyVersion)
	w.blank()
	if p.Product == "" {
		w.comment("product = \"pkg:…\" would ask for a certain product (package URL without version).")
	} else {
		w.comment("The product, as a package URL without version.")
		w.line("product = %s", quote(p.Product))
	}
	if p.Channel != "" {
		w.comment("The release channel.")
		w.line("channel = %s", quote(p.Channel))
	}
	if len(p.Versions) > 0 {
		w.comment("The versions that may be used.")
		w.line("versions = %s", quoteList(p.Versions))
	}
	if p.MaxAge > 0 {
		w.comment("How long ago the witnesses may have seen the log at most.")
		w.line("max-age = %s", quote(duration(p.MaxAge)))
	}
	if len(p.AcceptForks) > 0 {
		w.comment("Evidence that a log has signed two histories which refuses nothing, by its digest.")
		w.line("accept-forks = %s", quoteList(forkNames(p)))
	}
	w.witnesses(p)
	for i, s := range p.Signers {
		w.blank()
		if i == 0 {
			w.comment("Who may say what. Any one of them that may say it is enough.")
		}
		w.line("[[signer]]")
		w.line("name = %s", quote(s.Name))
		w.line("key = \"\"\"\n%s\"\"\"", s.Key.PEM())
		w.line("may = %s", quoteList(strings.Split(shortTypes(s.May), ", ")))
		w.operator(s.Operator)
	}
	w.rebuilds(p.Rebuilds)
	return []byte(w.String()), nil
}

func forkNames(p *Policy) []string {
	names := make([]string, len(p.AcceptForks))
	for i, d := range p.AcceptForks {
		names[i] = forkPrefix + d.String()
	}
	return names
}

type policyWriter struct{ strings.Builder }

func (w *policyWriter) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
func (w *policyWriter) comment(text string)             { w.WriteString("# " + text + "\n") }
func (w *policyWriter) blank()                          { w.WriteByte('\n') }

func (w *policyWriter) witnesses(p *Policy) {
	for i, l := range p.Log.Logs {
		w.blank()
		if i == 0 {
			w.comment("The logs that are trusted to keep one history. Any one of them is enough.")
		}
		w.line("[[log]]")
		w.line("key = %s", quote(l.Key.String()))
	}
	for i, x := range p.Log.Witnesses {
		w.blank()
		if i == 0 {
			w.comment("Witnesses confirm that the log shows everybody the same history.")
			w.comment("organisation, country and continent are for words; one organisation never counts twice.")
		}
		w.line("[[witness]]")
		w.line("name = %s", quote(x.Name))
		w.line("key = %s", quote(x.Key.String()))
		w.operator(p.Operators[x.Name])
	}
	w.quorum(&p.Log)
	if p.Continents > 0 {
		w.comment("On how many continents the witnesses that cosigned must be.")
		w.line("continents = %d", p.Continents)
	}
}

func (w *policyWriter) operator(o Operator) {
	for _, f := range []struct{ key, value string }{
		{"organisation", o.Organisation}, {"country", o.Country}, {"continent", o.Continent},
	} {
		if f.value != "" {
			w.line("%s = %s", f.key, quote(f.value))
		}
	}
}

func (w *policyWriter) quorum(p *tlog.Policy) {
	if p.Quorum == noQuorum {
		return
	}
	for _, g := range p.Groups {
		if g.Name == p.Quorum {
			continue
		}
		w.blank()
		w.line("[[group]]")
		w.line("name = %s", quote(g.Name))
		w.line("require = %d", g.K)
		w.line("of = %s", quoteList(g.Members))
	}
	k, members := quorumGroup(p)
	w.blank()
	w.comment("How many of these witnesses or groups are needed.")
	w.line("[witnesses]")
	w.line("require = %d", k)
	w.line("of = %s", quoteList(members))
}

// duration writes d as time.ParseDuration reads it, without zero parts.
func duration(d time.Duration) string {
	s := d.String()
	if t, ok := strings.CutSuffix(s, "m0s"); ok {
		s = t + "m"
	}
	if t, ok := strings.CutSuffix(s, "h0m"); ok {
		s = t + "h"
	}
	return s
}

// quote writes a TOML basic string. Validate leaves printable text only.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func quoteList(items []string) string {
	q := make([]string, len(items))
	for i, s := range items {
		q[i] = quote(s)
	}
	return "[" + strings.Join(q, ", ") + "]"
}
