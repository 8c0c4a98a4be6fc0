using System.Globalization;
using System.IO.Pipelines;
using Berth.Core.Errors;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;

namespace Berth.Server.Hosting;

/// <summary>
/// A request's body that may come as slowly and with as many pauses as its sender likes, but not stop: where nothing
/// comes for the operator's <c>body-idle-timeout</c>, reading it is refused. In place of Kestrel's least rate of 240
/// bytes a second, which takes an honest sender that thinks for a while for an attacker.
/// </summary>
internal sealed class PatientBody : PipeReader, IRequestBodyPipeFeature
{
    private static readonly TimeSpan Once = Timeout.InfiniteTimeSpan;

    private readonly PipeReader body;
    private readonly TimeSpan patience;
    private readonly TimeProvider time;
    private volatile bool gaveUp;

    private PatientBody(PipeReader body, TimeSpan patience, TimeProvider time)
    {
        this.body = body;
        this.patience = patience;
        this.time = time;
    }

    public PipeReader Reader => this;

    /// <summary>Makes the request's reader such a one.</summary>
    public static void Install(HttpContext context, TimeSpan patience, TimeProvider time)
    {
        if (context.Features.Get<IHttpRequestBodyDetectionFeature>() is { CanHaveBody: false })
        {
            return;
        }

        LiftRate(context);
        context.Features.Set<IRequestBodyPipeFeature>(new PatientBody(context.Request.BodyReader, patience, time));
    }

    /// <summary>Demands no rate of a body that something else bounds in time.</summary>
    public static void LiftRate(HttpContext context)
    {
        if (context.Features.Get<IHttpMinRequestBodyDataRateFeature>() is { } rate)
        {
            rate.MinDataRate = null;
        }
    }

    public override async ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
    {
        if (!body.TryRead(out ReadResult read))
        {
            // Not by a token: that would leave the reader unfit for the rest of the request.
            await using (time.CreateTimer(static self => ((PatientBody)self!).GiveUp(), this, patience, Once))
            {
                read = await body.ReadAsync(cancellationToken);
            }
        }

        if (!read.IsCanceled || !gaveUp)
        {
            return read;
        }

        body.AdvanceTo(read.Buffer.Start);
        throw new BerthException(
            ErrorCode.RequestTimeout,
            string.Create(
                CultureInfo.InvariantCulture,
                $"Nothing of the body came for {patience.TotalSeconds:0.###} s: send it without such a pause, or "
                + $"raise body-idle-timeout."));
    }

    public override bool TryRead(out ReadResult result) => body.TryRead(out result);

    public override void AdvanceTo(SequencePosition consumed) => body.AdvanceTo(consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined) =>
        body.AdvanceTo(consumed, examined);

    public override void CancelPendingRead() => body.CancelPendingRead();

    public override void Complete(Exception? exception = null) => body.Complete(exception);

    private void GiveUp()
    {
        gaveUp = true;
        try
        {
            body.CancelPendingRead();
        }
        catch (Exception e) when (e is OperationCanceledException or ConnectionAbortedException)
        {
            // The connection is gone, and with it the read.
        }
    }
}
