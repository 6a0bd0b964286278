package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"vitrine.example/digest"
	"vitrine.example/internal/circle"
	"vitrine.example/statement"
)

// circleView is a circle as JSON.
type circleView struct {
	Name      string                 `json:"name"`
	Root      digest.Digest          `json:"root"`
	Version   int64                  `json:"version"`
	Rule      statement.Rule         `json:"rule"`
	Members   []memberView           `json:"members"`
	Revoked   []statement.Revocation `json:"revoked"`
	Suspended []digest.Digest        `json:"suspended"`
	Versions  []versionView          `json:"versions"`
}

type memberView struct {
	Origin    string   `json:"origin"`
	Name      string   `json:"name"`
	URL       string   `json:"url"`
	Country   string   `json:"country"`
	Continent string   `json:"continent"`
	Roles     []string `json:"roles"`
	State     string   `json:"state"`
	Keys      []string `json:"keys"` // fingerprints
}

type versionView struct {
	Version   int64         `json:"version"`
	Statement digest.Digest `json:"statement"`
	Status    string        `json:"status"`
	Proposer  string        `json:"proposer"`
	Have      int           `json:"have"`
	Need      int           `json:"need"`
	Consents  []circle.Vote `json:"consents"`
	Notes     []string      `json:"notes"`
}

func viewOf(h *circle.History) circleView {
	v := circleView{
		Name: h.Current.Name, Root: h.Root, Version: h.Current.Version, Rule: h.Current.Rule,
		Revoked: append([]statement.Revocation{}, h.Current.Revoked...), Suspended: append([]digest.Digest{}, h.Current.Suspended...),
	}
	for _, m := range h.Current.Members {
		x := memberView{m.Origin, m.Name, m.URL, m.Country, m.Continent, m.Roles, string(m.State), []string{}}
		for _, k := range m.Keys() {
			x.Keys = append(x.Keys, k.ID().String())
		}
		v.Members = append(v.Members, x)
	}
	for _, x := range h.Versions {
		v.Versions = append(v.Versions, versionView{
			x.Circle.Version, x.Statement, string(x.Status), x.Proposer, x.Have, x.Need, x.Consents, append([]string{}, x.Notes...),
		})
	}
	return v
}

func (c *console) showCircle(h *circle.History) {
	c.row("circle", oneLine(h.Current.Name))
	c.row("root", "sha256:"+h.Root.String())
	c.row("in force", fmt.Sprintf("version %d", h.Current.Version))
	c.row("next needs", ruleWords(h.Current.Rule))
	for _, m := range h.Current.Members {
		c.row("member", fmt.Sprintf("%s  %s  %s %s  %s  %s", m.Origin, m.State, m.Country, m.Continent, strings.Join(m.Roles, ","), oneLine(m.Name)))
		c.keyRows("statements", m.Statement)
		c.keyRows("log", m.Log)
		c.keyRows("witness", m.Witness)
		c.keyRows("mirror", m.Mirror)
	}
	for _, r := range h.Current.Revoked {
		c.row("revoked", r.Key.String()+"  "+oneLine(r.Reason))
	}
	for _, k := range h.Current.Suspended {
		c.row("suspended", k.String())
	}
	for _, v := range h.Versions {
		c.row("version", fmt.Sprintf("%d  %s  %d of %d consents  sha256:%s", v.Circle.Version, v.Status, v.Have, v.Need, v.Statement))
		for _, a := range v.Consents {
			c.row("  agreed", a.Origin+"  "+a.At.Format(time.RFC3339))
		}
		for _, n := range v.Notes {
			c.row("  note", oneLine(n))
		}
	}
}

func (c *console) keyRows(what string, keys []statement.MemberKey) {
	for _, k := range keys {
		s := fmt.Sprintf("%-10s %s", what, k.ID())
		if !k.From.IsZero() {
			s += " from " + k.From.Format(time.RFC3339)
		}
		if !k.Until.IsZero() {
			s += " until " + k.Until.Format(time.RFC3339)
		}
		c.row("  key", s)
	}
}

// confirm asks people at a terminal; others must have said --yes.
func (c *console) confirm(yes bool, what string) error {
	if yes {
		return nil
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) || !c.terminal() {
		return withHint(errors.New("not confirmed: nothing was signed"), "compare the fingerprints above, then repeat the command with --yes")
	}
	fmt.Fprintf(c.err, "vitrine: %s? type yes: ", what)
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "yes" {
		return no(errors.New("not confirmed: nothing was signed"), "")
	}
	return nil
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}
