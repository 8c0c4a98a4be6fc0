using System.Collections.Concurrent;
using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Core.Runs;
using Berth.Core.Triggers;
using Berth.Server.Store;

namespace Berth.Server.Triggers;

/// <summary>A trigger as this server knows it now.</summary>
/// <param name="Seen">Of a clock: the last time that was seen to.</param>
internal sealed record TriggerEntry(Trigger Record, DateTimeOffset Seen);

/// <summary>All triggers, in memory for who looks and durable for the next start. Changes are made one after the other.
/// </summary>
internal sealed class TriggerManager(ITriggerStore store, TimeProvider time)
{
    private const int MaxTriggers = 10_000;

    private readonly ConcurrentDictionary<string, TriggerEntry> entries = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim changing = new(1);

    /// <summary>Told of each change; set before anything runs.</summary>
    public Action? Changed { get; set; }

    public ITriggerStore Store => store;

    /// <summary>By name.</summary>
    public IReadOnlyList<TriggerEntry> All => [.. entries.Values.OrderBy(e => e.Record.Name, StringComparer.Ordinal)];

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        foreach ((Trigger trigger, DateTimeOffset seen) in await store.AllTriggersAsync(cancellationToken))
        {
            entries[trigger.Name] = new TriggerEntry(trigger, seen);
        }
    }

    /// <summary>Takes in what other servers have changed.</summary>
    public async Task RefreshAsync(CancellationToken cancellationToken)
    {
        await changing.WaitAsync(cancellationToken);
        try
        {
            await ReadAgainAsync(cancellationToken);
        }
        finally
        {
            changing.Release();
        }
    }

    /// <summary>Null where there is none.</summary>
    public Trigger? Find(string name) => entries.GetValueOrDefault(name)?.Record;

    /// <exception cref="BerthException">NotFound.</exception>
    public Trigger Get(string name) => Find(name) ?? throw new BerthException(
        ErrorCode.NotFound, $"There is no trigger '{Quoted.Of(name)}': 'berth trigger ls' lists them.");

    /// <summary>Makes it, or gives it other settings: with another kind it is another trigger, which remembers nothing.
    /// </summary>
    /// <param name="make">Of what has the name now; null for nothing.</param>
    /// <returns>Whether the name is new.</returns>
    public async Task<(Trigger Record, bool IsNew)> PutAsync(
        string name, Func<Trigger?, Trigger> make, CancellationToken cancellationToken)
    {
        FunctionName.Check(name, "trigger");
        await changing.WaitAsync(cancellationToken);
        try
        {
            return await StaleRecordsException.RetryAsync(
                () => PutOnceAsync(name, make, cancellationToken), ReadAgainAsync, cancellationToken);
        }
        finally
        {
            changing.Release();
        }
    }

    /// <exception cref="BerthException">NotFound.</exception>
    public async Task RemoveAsync(string name, CancellationToken cancellationToken)
    {
        await changing.WaitAsync(cancellationToken);
        try
        {
            await StaleRecordsException.RetryAsync(
                async () =>
                {
                    await store.DeleteTriggerAsync(Get(name), cancellationToken);
                    return name;
                },
                ReadAgainAsync, cancellationToken);
            entries.TryRemove(name, out _);
            Changed?.Invoke();
        }
        finally
        {
            changing.Release();
        }
    }

    private async Task<(Trigger Record, bool IsNew)> PutOnceAsync(
        string name, Func<Trigger?, Trigger> make, CancellationToken cancellationToken)
    {
        TriggerEntry? old = entries.GetValueOrDefault(name);
        if (old is null && entries.Count >= MaxTriggers)
        {
            throw new BerthException(
                ErrorCode.QuotaExceeded, $"There are {MaxTriggers:N0} triggers, and no more can be: remove some.");
        }

        Trigger record = make(old?.Record);
        bool isSame = old is not null && old.Record.Id == record.Id;
        // A clock begins now, also one that was paused: what passed meanwhile was not wanted.
        bool goesOn = isSame && old!.Record.IsPaused == record.IsPaused && record.Clock is not null
            && old.Record.Clock?.Times.Line.Text == record.Clock.Times.Line.Text;
        TriggerEntry entry = new(record, goesOn ? old!.Seen : time.GetUtcNow());
        await store.PutAsync(record, entry.Seen, cancellationToken);
        entries[name] = entry;
        Changed?.Invoke();
        return (record, old is null);
    }

    private async Task ReadAgainAsync(CancellationToken cancellationToken)
    {
        HashSet<string> stored = new(StringComparer.Ordinal);
        foreach ((Trigger trigger, DateTimeOffset seen) in await store.AllTriggersAsync(cancellationToken))
        {
            stored.Add(trigger.Name);
            entries[trigger.Name] = new TriggerEntry(trigger, seen);
        }

        foreach (string gone in entries.Keys.Where(name => !stored.Contains(name)))
        {
            entries.TryRemove(gone, out _);
        }

        Changed?.Invoke();
    }

    /// <summary>A time was seen to, which is durable already.</summary>
    public void See(Trigger trigger, DateTimeOffset seen)
    {
        if (entries.TryGetValue(trigger.Name, out TriggerEntry? entry) && entry.Record.Id == trigger.Id)
        {
            // Lost where it was changed meanwhile: that began at a later time.
            entries.TryUpdate(trigger.Name, entry with { Seen = seen }, entry);
        }
    }

    /// <summary>Last of a trigger's runs that were made; null where it has none.</summary>
    public async Task<RunId?> LastRunAsync(Trigger trigger, CancellationToken cancellationToken) =>
        (await store.FiringsAsync(trigger.Id, Firing.Kept, cancellationToken)).FirstOrDefault(f => f.Run is not null)
            ?.Run;
}
