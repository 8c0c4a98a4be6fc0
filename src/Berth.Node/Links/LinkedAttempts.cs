using System.Collections.Concurrent;
using Berth.Api.Nodes;

namespace Berth.Node.Links;

/// <summary>The attempts that one server has here, by id: what it may have connections with. Thread-safe.</summary>
internal sealed class LinkedAttempts
{
    private readonly ConcurrentDictionary<string, Known> attempts = new(StringComparer.Ordinal);

    /// <summary>Can be found until that is disposed.</summary>
    public IDisposable Add(IAttempt attempt)
    {
        Known known = new(this, attempt);
        attempts[attempt.Spec.Id] = known;
        return known;
    }

    /// <summary>With a token that is cancelled when it is over; null where there is none.</summary>
    public (IAttempt Attempt, CancellationToken Over)? Find(string id) =>
        attempts.TryGetValue(id, out Known? known) ? (known.Attempt, known.Over) : null;

    private sealed class Known : IDisposable
    {
        private readonly LinkedAttempts owner;
        private readonly CancellationTokenSource over = new();

        public Known(LinkedAttempts owner, IAttempt attempt)
        {
            this.owner = owner;
            Attempt = attempt;
            Over = over.Token;
        }

        public IAttempt Attempt { get; }

        public CancellationToken Over { get; }

        public void Dispose()
        {
            owner.attempts.TryRemove(new KeyValuePair<string, Known>(Attempt.Spec.Id, this));
            over.Cancel();
            over.Dispose();
        }
    }
}
