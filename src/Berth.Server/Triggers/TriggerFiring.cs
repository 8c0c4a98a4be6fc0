using System.Globalization;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Runs;
using Berth.Core.Triggers;
using Berth.Server.Runs;
using Berth.Server.Store;

namespace Berth.Server.Triggers;

/// <summary>Makes a firing a task of the function, once for its key: the task's own key is made of it, so that a server
/// killed before it was remembered finds the same task.</summary>
internal sealed class TriggerFiring(TriggerManager triggers, TriggerCall calls, IRunManager runs, TimeProvider time)
{
    /// <summary>What makes two firings with one key the same; their function may be another by then.</summary>
    private static readonly Digest NoImage = Digest.Parse("sha256:" + new string('0', 64));

    /// <summary>Remembers what came of it, too. What a later try may help is thrown and not remembered:
    /// <c>QueueFull</c>, <c>ShuttingDown</c>, <c>StorageFull</c>, <c>StorageFault</c>.</summary>
    /// <param name="key">What it is about; of one trigger no other firing has the same.</param>
    /// <param name="request">Of the sender, where there is one.</param>
    /// <param name="seen">As <see cref="ITriggerStore.RecordAsync"/>.</param>
    /// <param name="file">Likewise.</param>
    /// <param name="about">What to remember of one that became a run, in words; null for its key alone.</param>
    public async Task<Firing> FireAsync(
        Trigger trigger, string key, CloudEvent e, TriggerRequestHead? request, DateTimeOffset? seen,
        (string Path, string Mark)? file, CancellationToken cancellationToken, string? about = null)
    {
        Firing firing;
        try
        {
            RunSpec spec = calls.Make(trigger, e, request);
            RunSpec asked = RunSpec.For("trigger " + trigger.Name, NoImage, RunKind.Task);
            // A blank, which no caller's key has.
            using MemoryStream input = new(e.Data.ToArray(), writable: false);
            RunAcceptance made = await runs.SubmitAsync(
                new RunSubmission(spec, trigger.Caller, $"trigger {trigger.Id} {key}", asked), input,
                cancellationToken);
            firing = new Firing(trigger.Id, key, time.GetUtcNow(), FiringOutcome.Fired, made.Run.Id, about);
        }
        catch (BerthException refusal) when (refusal.Code is not (
            ErrorCode.QueueFull or ErrorCode.ShuttingDown or ErrorCode.StorageFull or ErrorCode.StorageFault
            or ErrorCode.StorageDamaged))
        {
            firing = new Firing(trigger.Id, key, time.GetUtcNow(), FiringOutcome.Failed, null, refusal.Message);
        }

        // A file whose function can't be called is not seen to: it is tried again.
        await RecordAsync(trigger, firing, seen, firing.Run is null ? null : file, cancellationToken);
        return firing;
    }

    public async Task RecordAsync(
        Trigger trigger, Firing firing, DateTimeOffset? seen, (string Path, string Mark)? file,
        CancellationToken cancellationToken)
    {
        await triggers.Store.RecordAsync(firing, seen, file, cancellationToken);
        if (seen is { } at)
        {
            triggers.See(trigger, at);
        }
    }

    /// <summary>An event of Berth's own.</summary>
    /// <param name="kind">The end of its type.</param>
    public static CloudEvent Own(
        Trigger trigger, string kind, string id, DateTimeOffset at, string? subject, string? contentType,
        ReadOnlyMemory<byte> data)
    {
        Dictionary<string, string> attributes = new(StringComparer.Ordinal)
        {
            ["id"] = id,
            ["source"] = "/v1/triggers/" + trigger.Name,
            ["type"] = "dev.berth." + kind,
            ["time"] = Moment(at),
        };
        if (subject is not null)
        {
            attributes["subject"] = subject;
        }

        return new CloudEvent(attributes, contentType, data);
    }

    /// <summary>To the second where it is a whole one.</summary>
    public static string Moment(DateTimeOffset at) => at.UtcDateTime.ToString(
        at.Ticks % TimeSpan.TicksPerSecond == 0 ? "yyyy-MM-dd'T'HH:mm:ss'Z'" : "yyyy-MM-dd'T'HH:mm:ss.fffffff'Z'",
        CultureInfo.InvariantCulture);
}
