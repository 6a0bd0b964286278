package draft

// ReadDsc reads the text of a .dsc file: its files, packages and build dependencies.
func ReadDsc(text string) (files, packages, needs []string, err error) {
	c, err := parseDsc(text)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, f := range c.files {
		files = append(files, f.name)
	}
	for _, p := range c.packages {
		packages = append(packages, p.name+" "+p.arch)
	}
	return files, packages, c.needs, nil
}
