using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Core.Triggers;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Triggers;

/// <summary>Looks every other second at the volumes that triggers watch. A file fires once it was the same in two looks
/// (whoever writes it is done), and again when it was changed. What was seen to is durable with the firing.</summary>
internal sealed class UploadPass(
    TriggerManager triggers, TriggerFiring firing, INodeStorage storage, TimeProvider time, ILogger logger)
{
    /// <summary>Of one trigger; more are not looked at, and told.</summary>
    public const int MaxFiles = 10_000;

    private static readonly TimeSpan Period = TimeSpan.FromSeconds(2);

    /// <summary>Until a function that could not be called is tried again.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(30);

    private readonly Dictionary<RunId, Watch> watches = [];

    public async Task RunAsync(CancellationToken stop)
    {
        using PeriodicTimer timer = new(Period, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stop))
            {
                await LookAsync(stop);
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // The server stops.
        }
    }

    internal async Task LookAsync(CancellationToken stop)
    {
        Trigger[] watching =
        [
            .. triggers.All.Select(e => e.Record).Where(t => t is { Upload: not null, IsPaused: false }),
        ];
        foreach (RunId gone in watches.Keys.Except(watching.Select(t => t.Id)).ToArray())
        {
            watches.Remove(gone);
        }

        foreach (Trigger trigger in watching)
        {
            try
            {
                await LookAsync(trigger, stop);
            }
            catch (BerthException full) when (full.Code is ErrorCode.QueueFull or ErrorCode.ShuttingDown
                or ErrorCode.StorageFull or ErrorCode.StorageFault)
            {
                // There is room again some time, and it is looked at again.
            }
            catch (Exception error) when (!stop.IsCancellationRequested)
            {
                Log.PassFailed(logger, trigger.Name, error);
            }
        }
    }

    private async Task LookAsync(Trigger trigger, CancellationToken stop)
    {
        if (!watches.TryGetValue(trigger.Id, out Watch? watch))
        {
            watch = new Watch(new Dictionary<string, string>(
                await triggers.Store.FilesAsync(trigger.Id, stop), StringComparer.Ordinal));
            watches[trigger.Id] = watch;
        }

        if (time.GetUtcNow() < watch.NotBefore)
        {
            return;
        }

        UploadSpec upload = trigger.Upload!;
        VolumeListing found = await storage.FilesAsync(upload.Volume, upload.Prefix, MaxFiles, stop);
        Dictionary<string, string> marks = found.Files.ToDictionary(f => f.Path, MarkOf, StringComparer.Ordinal);
        await ForgetAsync(trigger, watch, marks, found.IsWhole, stop);
        foreach (VolumeFile file in found.Files)
        {
            string mark = marks[file.Path];
            if (watch.Seen.GetValueOrDefault(file.Path) == mark || watch.Before.GetValueOrDefault(file.Path) != mark)
            {
                continue;
            }

            if (!await FireAsync(trigger, watch, file, mark, stop))
            {
                watch.NotBefore = time.GetUtcNow() + Pause;
                return;
            }
        }

        watch.Before = marks;
        if (!found.IsWhole && !watch.ToldOfMany)
        {
            watch.ToldOfMany = true;
            await firing.RecordAsync(
                trigger,
                new Firing(
                    trigger.Id, "files " + RunId.New(time.GetUtcNow()).Text, time.GetUtcNow(), FiringOutcome.Failed,
                    null,
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"There are more than {MaxFiles:N0} files, and the others are not looked at: remove some.")),
                null, null, stop);
        }
    }

    /// <summary>What is gone may come again.</summary>
    private async Task ForgetAsync(
        Trigger trigger, Watch watch, Dictionary<string, string> marks, bool isWhole, CancellationToken stop)
    {
        string[] gone = isWhole ? [.. watch.Seen.Keys.Where(path => !marks.ContainsKey(path))] : [];
        if (gone.Length == 0)
        {
            return;
        }

        await triggers.Store.ForgetAsync(trigger.Id, gone, stop);
        foreach (string path in gone)
        {
            watch.Seen.Remove(path);
        }
    }

    /// <summary>False where the function can't be called now.</summary>
    private async Task<bool> FireAsync(
        Trigger trigger, Watch watch, VolumeFile file, string mark, CancellationToken stop)
    {
        byte[] about = Encoding.UTF8.GetBytes($"{file.Path}\n{mark}");
        string key = "file " + Convert.ToHexStringLower(SHA256.HashData(about));
        byte[] data = JsonSerializer.SerializeToUtf8Bytes(
            new UploadData(trigger.Upload!.Volume, file.Path, file.Size, file.ModifiedAt),
            TriggerDataJson.Default.UploadData);
        CloudEvent e = TriggerFiring.Own(
            trigger, "volume.uploaded", key, file.ModifiedAt, file.Path, "application/json", data);
        Firing made = await firing.FireAsync(
            trigger, key, e, null, null, (file.Path, mark), stop, about: file.Path);
        if (made.Run is null)
        {
            return false;
        }

        watch.Seen[file.Path] = mark;
        return true;
    }

    private static string MarkOf(VolumeFile file) =>
        string.Create(CultureInfo.InvariantCulture, $"{file.Size} {file.ModifiedAt.UtcTicks}");

    /// <summary>What is known of the files of one trigger.</summary>
    /// <param name="seen">Those that were seen to, as they were then.</param>
    private sealed class Watch(Dictionary<string, string> seen)
    {
        public Dictionary<string, string> Seen { get; } = seen;

        /// <summary>As they were at the last look.</summary>
        public Dictionary<string, string> Before { get; set; } = [];

        public DateTimeOffset NotBefore { get; set; }

        public bool ToldOfMany { get; set; }
    }
}
