package sbom

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/package-url/packageurl-go"

	"vitrine.example/digest"
)

// Names of properties (docs/spec/release.md, "SBOM").
const (
	propSum      = "vitrine:go:h1"       // of a module: hash of its file tree, go.sum's h1
	propReplaces = "vitrine:go:replaces" // of a module: what it stands for, path@version
	propSetting  = "vitrine:go:build:"   // of the binary: a build setting, by its key
	propPackage  = "vitrine:go:package"  // of the binary: import path of the main package
)

// document lays out the whole SBOM.
func document(info *debug.BuildInfo, d digest.Digest) *cdx.BOM {
	root := binary(info, d)
	parts := append([]cdx.Component{stdlib(info.GoVersion)}, modules(info.Deps)...)
	refs := make([]string, len(parts))
	for i, p := range parts {
		refs[i] = p.BOMRef
	}
	slices.Sort(refs)
	bom := cdx.NewBOM()
	bom.SerialNumber = serial(d)
	bom.Metadata = &cdx.Metadata{
		Tools:     &cdx.ToolsChoice{Components: &[]cdx.Component{{Type: cdx.ComponentTypeApplication, Name: "vitrine"}}},
		Component: &root,
	}
	bom.Components = &parts
	bom.Dependencies = &[]cdx.Dependency{{Ref: root.BOMRef, Dependencies: &refs}}
	return bom
}

// serial derives the serial number from the file: a UUID of version 8 (RFC
// 9562, section 5.8), so that the same file gives the same document.
func serial(d digest.Digest) string {
	u := sha256.Sum256([]byte("vitrine sbom 1\n" + d.String()))
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}

// binary describes the file itself.
func binary(info *debug.BuildInfo, d digest.Digest) cdx.Component {
	name := cmp.Or(info.Main.Path, info.Path, "unknown")
	c := cdx.Component{
		BOMRef:  "sha256:" + d.String(),
		Type:    cdx.ComponentTypeApplication,
		Name:    name,
		Version: info.Main.Version,
		Hashes:  &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: d.String()}},
	}
	if info.Main.Path != "" {
		c.PackageURL = purl(info.Main.Path, strings.Trim(info.Main.Version, "()"))
	}
	props := []cdx.Property{{Name: propPackage, Value: info.Path}}
	if info.Main.Sum != "" {
		props = append(props, cdx.Property{Name: propSum, Value: info.Main.Sum})
	}
	for _, s := range info.Settings {
		props = append(props, cdx.Property{Name: propSetting + s.Key, Value: s.Value})
	}
	c.Properties = sorted(props)
	return c
}

// stdlib is the standard library, under the name that vulnerability databases use.
func stdlib(goVersion string) cdx.Component {
	version, _, _ := strings.Cut(strings.TrimPrefix(goVersion, "go"), " ")
	c := cdx.Component{
		BOMRef: "go:stdlib@" + version, Type: cdx.ComponentTypeLibrary, Name: "stdlib", Version: version,
		PackageURL: purl("stdlib", version),
	}
	if experiments := strings.TrimPrefix(goVersion, "go"+version); experiments != "" {
		c.Properties = &[]cdx.Property{{Name: propSetting + "version", Value: goVersion}}
	}
	return c
}

// modules describes what was linked in, sorted by path.
func modules(deps []*debug.Module) []cdx.Component {
	var list []cdx.Component
	for _, m := range deps {
		if m != nil {
			list = append(list, module(m))
		}
	}
	slices.SortFunc(list, func(a, b cdx.Component) int { return strings.Compare(a.BOMRef, b.BOMRef) })
	return slices.CompactFunc(list, func(a, b cdx.Component) bool { return a.BOMRef == b.BOMRef })
}

// module describes one module; where it was replaced, what is in the binary is
// the replacement.
func module(m *debug.Module) cdx.Component {
	used, props := m, []cdx.Property(nil)
	if m.Replace != nil {
		used = m.Replace
		props = append(props, cdx.Property{Name: propReplaces, Value: m.Path + "@" + m.Version})
	}
	if used.Sum != "" {
		props = append(props, cdx.Property{Name: propSum, Value: used.Sum})
	}
	c := cdx.Component{
		BOMRef: "go:" + m.Path + "@" + m.Version, Type: cdx.ComponentTypeLibrary,
		Name: used.Path, Version: strings.Trim(used.Version, "()"), Properties: sorted(props),
	}
	if !local(used.Path) {
		c.PackageURL = purl(used.Path, c.Version)
	}
	return c
}

// local reports whether a replacement is a directory, which has no purl.
func local(path string) bool {
	return path == "" || strings.HasPrefix(path, "/") || strings.HasPrefix(path, "./") || strings.HasPrefix(path, "../")
}

// purl names a Go module as the purl type "golang" does; "devel" is no version.
func purl(path, version string) string {
	if version == "devel" {
		version = ""
	}
	namespace, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		namespace, name = path[:i], path[i+1:]
	}
	p := packageurl.NewPackageURL(packageurl.TypeGolang, namespace, name, version, nil, "")
	if err := p.Normalize(); err != nil {
		return ""
	}
	return p.ToString()
}

func sorted(props []cdx.Property) *[]cdx.Property {
	if len(props) == 0 {
		return nil
	}
	slices.SortStableFunc(props, func(a, b cdx.Property) int { return strings.Compare(a.Name, b.Name) })
	return &props
}
