// A part of test_utils.cc, which includes it behind what it uses: temporary files and what becomes of them.

// Returns what is in a folder, hidden files included.
std::vector<std::string> Names(const std::string &folder) {
  std::vector<std::string> names;
  DIR *entries = opendir(folder.c_str());
  while (const dirent *entry = entries ? readdir(entries) : nullptr) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  if (entries) closedir(entries);
  return names;
}

void TestTemporaryFiles(const std::string &root) {
  MakeFolder(root + "/t");
  Write(root + "/mine", "mine");
  EXPECT(symlink((root + "/mine").c_str(), (root + "/t/.a_0.bin.partial").c_str()) == 0);  // an earlier version's name
  WriteFile(root + "/t/a_0.bin", "123", 3);
  WriteFile(root + "/t/" + std::string(250, 'n'), "123", 3);
  EXPECT(Read(root + "/mine") == "mine" && Read(root + "/t/a_0.bin") == "123");
  EXPECT(Names(root + "/t").size() == 3);

  // A signal in the middle of the writing, or between two files.
  MakeFolder(root + "/s");
  const pid_t child = fork();
  if (child == 0) {
    CleanUpAtSignals();
    std::vector<char> data(64 << 20);
    for (;;) WriteFile(root + "/s/a.bin", data.data(), data.size());
  }
  const auto is_partial = [&root] {
    for (const std::string &name : Names(root + "/s")) {
      if (name.find(".a.bin.") == 0 && name.find(".partial") != std::string::npos) return true;
    }
    return false;
  };
  while (!is_partial()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  kill(child, SIGTERM);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
  EXPECT(!is_partial());
}
