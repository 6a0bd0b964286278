package artifact

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"sync"
)

//go:embed page.html
var pageText string

// page is a report that stands alone: no script, nothing from elsewhere.
var page = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Funcs(template.FuncMap{
		"rung": rungText,
		"mark": func(line string) string {
			switch {
			case strings.HasPrefix(line, "- "):
				return "gone"
			case strings.HasPrefix(line, "+ "):
				return "come"
			}
			return ""
		},
		"left":  func(h Hunk) []string { return half(h, "- ") },
		"right": func(h Hunk) []string { return half(h, "+ ") },
		"clean": clean,
		"some":  orNone,
	}).Parse(pageText))
})

// half is what one side has of a hunk.
func half(h Hunk, mark string) (out []string) {
	for _, l := range h.Lines {
		if strings.HasPrefix(l, mark) || strings.HasPrefix(l, "  ") {
			out = append(out, clean(l))
		}
	}
	return out
}

// HTML writes the report as one page that needs nothing else.
func (r *Report) HTML(w io.Writer) error {
	if err := page().Execute(w, r); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}
