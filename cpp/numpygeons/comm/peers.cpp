/// Reads /proc: a process, when it began, and which processes it can see.
#include "numpygeons/comm/peers.hpp"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <optional>
#include <sstream>

namespace numpygeons {
namespace {

struct Status {
  char state{};             // Z and X: no longer runs
  std::uint64_t started{};  // clock ticks after the boot
};

/// Nothing where the process is gone, or where /proc is not to be had.
std::optional<Status> status_of(std::int64_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  const std::size_t name_end = line.rfind(')');  // the name may hold spaces and brackets
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(line.substr(name_end + 1));
  Status status;
  fields >> status.state;
  constexpr int n_between = 18;  // from field 4 to field 21
  std::string skipped;
  for (int i = 0; i < n_between; ++i) fields >> skipped;
  if (!(fields >> status.started)) return std::nullopt;
  return status;
}

/// FNV-1a.
std::uint64_t hash(const std::string& text) {
  std::uint64_t value = 0xcbf29ce484222325;
  for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return value;
}

std::string link_target(const char* path) {
  std::array<char, 256> target{};
  const ssize_t n = ::readlink(path, target.data(), target.size());
  return {target.data(), n > 0 ? static_cast<std::size_t>(n) : 0};
}

}  // namespace

std::string Peer::name(std::size_t rank) const {
  return "rank " + std::to_string(rank) + " (process " + std::to_string(pid) + " on " +
         host.data() + ")";
}

Peer this_process() {
  Peer peer;
  ::gethostname(peer.host.data(), peer.host.size() - 1);
  // Host names repeat among containers, and so do pids: neither says that a pid is ours to look up.
  std::string boot;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), boot);
  peer.machine = hash((boot.empty() ? peer.host.data() : boot) + link_target("/proc/self/ns/pid"));
  peer.pid = ::getpid();
  if (const auto status = status_of(peer.pid)) peer.started = status->started;
  return peer;
}

bool may_be_alive(const Peer& peer, const Peer& self) {
  if (peer.machine != self.machine) return true;
  if (::kill(static_cast<pid_t>(peer.pid), 0) != 0 && errno == ESRCH) return false;
  const auto status = status_of(peer.pid);
  if (!status) return true;
  if (status->state == 'Z' || status->state == 'X') return false;
  return peer.started == 0 || status->started == peer.started;
}

}  // namespace numpygeons
