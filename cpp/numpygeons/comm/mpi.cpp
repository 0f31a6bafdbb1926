/// Calls an MPI by address, and waits without stopping the machine or missing who is gone.
#include "numpygeons/comm/mpi.hpp"

#include <dlfcn.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstring>
#include <limits>
#include <optional>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <vector>

#include "numpygeons/base/errors.hpp"

namespace numpygeons {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds, std::chrono::milliseconds;

constexpr int n_spins = 20;  // tests before the core is offered to others
// Then a wait sleeps a twentieth of its time. A large message moves on only while it is polled.
constexpr auto yields_for = milliseconds(2);
constexpr auto yields_for_crowded = microseconds(50);  // who computes needs the core
constexpr auto yields_for_large = milliseconds(1000);
constexpr std::size_t large = std::size_t{1} << 14;
constexpr auto longest_sleep = milliseconds(1);
constexpr auto between_looks = milliseconds(200);
// Who has sent its part may leave before the others have received it.
constexpr auto grace = milliseconds(1000);
constexpr int farewell_tag = 1;
constexpr std::size_t largest_message = std::size_t{1} << 24;

using Buffer = std::vector<std::byte>;

/// Room for an MPI_Status of any MPI; none is larger than 48 bytes.
struct alignas(16) Status {
  std::array<std::byte, 256> bytes;
};

template <class Handle>
Handle as_handle(std::uint64_t number) {
  if constexpr (std::is_pointer_v<Handle>) {
    return std::bit_cast<Handle>(static_cast<std::uintptr_t>(number));
  } else {
    return static_cast<Handle>(static_cast<std::uint32_t>(number));
  }
}

/// One library's functions with the types that its handles have.
template <class Handle>
struct Calls {
  explicit Calls(const MpiFunctions& f)
      : comm_rank(reinterpret_cast<decltype(comm_rank)>(f.comm_rank)),
        comm_size(reinterpret_cast<decltype(comm_size)>(f.comm_size)),
        iallgather(reinterpret_cast<decltype(iallgather)>(f.iallgather)),
        ibcast(reinterpret_cast<decltype(ibcast)>(f.ibcast)),
        isend(reinterpret_cast<decltype(isend)>(f.isend)),
        iprobe(reinterpret_cast<decltype(iprobe)>(f.iprobe)),
        test(reinterpret_cast<decltype(test)>(f.test)),
        error_string(reinterpret_cast<decltype(error_string)>(f.error_string)) {}

  int (*comm_rank)(Handle comm, int* rank);
  int (*comm_size)(Handle comm, int* size);
  int (*iallgather)(const void* from, int n_from, Handle from_type, void* to, int n_to,
                    Handle to_type, Handle comm, Handle* request);
  int (*ibcast)(void* data, int n, Handle type, int root, Handle comm, Handle* request);
  int (*isend)(const void* from, int n, Handle type, int to, int tag, Handle comm, Handle* request);
  int (*iprobe)(int from, int tag, Handle comm, int* flag, Status* status);
  int (*test)(Handle* request, int* flag, Status* status);
  int (*error_string)(int code, char* text, int* length);
};

template <class Handle>
class Bound final : public MpiCommunicator {
 public:
  Bound(const MpiFunctions& functions, const MpiHandles& handles,
        std::function<void()> while_waiting)
      : call_(functions),
        comm_(as_handle<Handle>(handles.communicator)),
        byte_(as_handle<Handle>(handles.byte)),
        while_waiting_(std::move(while_waiting)) {
    int rank = 0, size = 0;
    check(call_.comm_rank(comm_, &rank), "MPI_Comm_rank");
    check(call_.comm_size(comm_, &size), "MPI_Comm_size");
    rank_ = static_cast<std::size_t>(rank);
    size_ = static_cast<std::size_t>(size);
    const Peer self = this_process();
    std::vector<Peer> peers(size_);
    gather(std::as_bytes(std::span(&self, 1)), std::as_writable_bytes(std::span(peers)));
    peers_ = std::move(peers);
    const auto n_here = std::ranges::count(peers_, self.machine, &Peer::machine);
    crowded_ = n_here > ::sysconf(_SC_NPROCESSORS_ONLN);
  }

  ~Bound() override {
    // MPI may still write to the buffers of a message that nobody waited for.
    if (pending_) {
      static_cast<void>(std::make_unique<Buffer>(std::move(own_)).release());
      static_cast<void>(std::make_unique<Buffer>(std::move(all_)).release());
    }
  }

  [[nodiscard]] std::size_t rank() const noexcept override { return rank_; }
  [[nodiscard]] std::size_t size() const noexcept override { return size_; }
  [[nodiscard]] std::span<const Peer> peers() const noexcept override { return peers_; }
  [[nodiscard]] const std::string& broken() const noexcept override { return broken_; }

  void allgather(std::span<const std::byte> own, std::span<std::byte> all) override {
    gather(own, all);
  }

  void broadcast(std::span<std::byte> bytes, std::size_t root) override {
    if (root >= size_) {
      throw std::invalid_argument("broadcast: root must be below " + std::to_string(size_) +
                                  ": got " + std::to_string(root));
    }
    for (std::size_t first = 0; first < bytes.size(); first += largest_message) {
      const auto part = bytes.subspan(first, std::min(largest_message, bytes.size() - first));
      refuse_if_broken();
      all_.resize(part.size());
      if (rank_ == root) std::ranges::copy(part, all_.begin());
      check(call_.ibcast(all_.data(), static_cast<int>(part.size()), byte_, static_cast<int>(root),
                         comm_, &request_),
            "MPI_Ibcast");
      wait("MPI_Ibcast", part.size());
      if (rank_ != root) std::ranges::copy(all_, part.begin());
    }
  }

  void leave() override {
    if (left_) return;
    left_ = true;
    static const char nothing = 0;
    for (std::size_t peer = 0; peer < size_; ++peer) {
      Handle request{};
      // An empty message is on its way once this returns; nobody waits for its end.
      if (peer != rank_) {
        call_.isend(&nothing, 0, byte_, static_cast<int>(peer), farewell_tag, comm_, &request);
      }
    }
    if (broken_.empty()) broken_ = "this rank has left";
  }

 private:
  void gather(std::span<const std::byte> own, std::span<std::byte> all) {
    if (all.size() != own.size() * size_) {
      throw std::invalid_argument("allgather: room for " + std::to_string(size_) + " blocks of " +
                                  std::to_string(own.size()) + " bytes is needed: got " +
                                  std::to_string(all.size()) + " bytes");
    }
    const std::size_t most = std::max<std::size_t>(1, largest_message / size_);
    for (std::size_t first = 0; first < own.size(); first += most) {
      const auto part = own.subspan(first, std::min(most, own.size() - first));
      refuse_if_broken();
      own_.assign(part.begin(), part.end());
      all_.resize(part.size() * size_);
      const int n = static_cast<int>(part.size());
      check(call_.iallgather(own_.data(), n, byte_, all_.data(), n, byte_, comm_, &request_),
            "MPI_Iallgather");
      wait("MPI_Iallgather", part.size());
      for (std::size_t r = 0; r < size_; ++r) {
        std::memcpy(all.data() + r * own.size() + first, all_.data() + r * part.size(),
                    part.size());
      }
    }
  }

  bool done(const char* what) {
    int flag = 0;
    Status status;
    check(call_.test(&request_, &flag, &status), what);
    return flag != 0;
  }

  /// Waits for request_. Ranks may be more than cores, so the core is soon offered to others; a
  /// long wait sleeps, to leave the cores to what the others compute.
  void wait(const char* what, std::size_t n_bytes) {
    Clock::duration patience = crowded_ ? Clock::duration(yields_for_crowded) : yields_for;
    if (n_bytes >= large) patience = yields_for_large;
    pending_ = true;
    for (int i = 0; i < n_spins && pending_; ++i) pending_ = !done(what);
    if (!pending_) return;
    const auto start = Clock::now();
    auto next_look = start + between_looks;
    std::optional<Clock::time_point> last_chance;
    std::string gone;
    while (!done(what)) {
      const auto now = Clock::now();
      if (now - start < patience) {
        ::sched_yield();
        continue;
      }
      if (last_chance && now > *last_chance) fail(gone + ", and the other ranks cannot go on");
      if (now > next_look) {
        look_around(gone);
        if (!gone.empty() && !last_chance) last_chance = now + grace;
        next_look = now + between_looks;
      }
      std::this_thread::sleep_for(std::min<Clock::duration>((now - start) / 20, longest_sleep));
    }
    pending_ = false;
  }

  /// Lets the caller's function run, and names who is gone.
  void look_around(std::string& gone) {
    if (while_waiting_) {
      try {
        while_waiting_();
      } catch (...) {
        broken_ = "a wait was interrupted";
        throw;
      }
    }
    for (std::size_t r = 0; r < peers_.size() && gone.empty(); ++r) {
      if (r == rank_) continue;
      int flag = 0;
      Status status;
      check(call_.iprobe(static_cast<int>(r), farewell_tag, comm_, &flag, &status), "MPI_Iprobe");
      if (flag != 0)
        gone = peers_[r].name(r) + " has ended early";
      else if (!may_be_alive(peers_[r], peers_[rank_]))
        gone = peers_[r].name(r) + " was killed or crashed";
    }
  }

  void refuse_if_broken() const {
    if (!broken_.empty()) throw CommunicationError("the ranks no longer communicate: " + broken_);
  }

  [[noreturn]] void fail(const std::string& message) {
    broken_ = message;
    throw CommunicationError(message);
  }

  void check(int code, const char* what) {
    if (code == 0) return;          // MPI_SUCCESS, by the standard
    std::array<char, 2048> text{};  // MPI_MAX_ERROR_STRING is at most 1024
    int length = 0;
    call_.error_string(code, text.data(), &length);
    fail(std::string(what) + " on rank " + std::to_string(rank_) + " of " + std::to_string(size_) +
         ": " + text.data());
  }

  Calls<Handle> call_;
  Handle comm_, byte_;
  Handle request_{};
  std::function<void()> while_waiting_;
  std::size_t rank_ = 0, size_ = 1;
  std::vector<Peer> peers_;
  Buffer own_, all_;
  bool pending_ = false, left_ = false;
  bool crowded_ = false;  // more ranks than cores on this machine
  std::string broken_;
};

}  // namespace

MpiFunctions mpi_functions(const std::string& library) {
  void* const opened = ::dlopen(library.c_str(), RTLD_LAZY | RTLD_NOLOAD);
  if (opened == nullptr) {
    throw std::invalid_argument(library + " must be loaded by this process: it is not");
  }
  const auto find = [&](const char* name) {
    void* const address = ::dlsym(opened, name);
    if (address == nullptr) throw std::invalid_argument(library + " has no " + name);
    return address;
  };
  // Stays open: the addresses are used until the process ends.
  return {.comm_rank = find("MPI_Comm_rank"),
          .comm_size = find("MPI_Comm_size"),
          .iallgather = find("MPI_Iallgather"),
          .ibcast = find("MPI_Ibcast"),
          .isend = find("MPI_Isend"),
          .iprobe = find("MPI_Iprobe"),
          .test = find("MPI_Test"),
          .error_string = find("MPI_Error_string")};
}

std::shared_ptr<MpiCommunicator> mpi_communicator(const MpiFunctions& functions,
                                                  const MpiHandles& handles,
                                                  std::function<void()> while_waiting) {
  if (handles.n_bytes == sizeof(int)) {
    return std::make_shared<Bound<int>>(functions, handles, std::move(while_waiting));
  }
  if (handles.n_bytes == sizeof(void*)) {
    return std::make_shared<Bound<void*>>(functions, handles, std::move(while_waiting));
  }
  throw std::invalid_argument("handles of MPI must have 4 or 8 bytes: got " +
                              std::to_string(handles.n_bytes));
}

}  // namespace numpygeons
