using Berth.Core.Images;
using Berth.Core.Runs;
using Berth.Oci.Repositories;
using Berth.Server.Access;
using Berth.Server.Configuration;
using Berth.Server.ImageEndpoints;
using Berth.Server.Networks;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.Calls;

/// <summary>
/// Starts runs: <c>/v1/call/</c> waits for the end, <c>/v1/tasks/</c> answers once the run is durable.
/// </summary>
internal sealed class CallEndpoints(
    ImageCatalog images, NetworkKeeper networks, ServerOptions options, CallAnswer answer)
{
    /// <summary>A synchronous call, or a task where <c>Prefer: respond-async</c> asks for one.</summary>
    public Task CallAsync(HttpContext context)
    {
        Preference preference = Preference.Parse(context.Request.Headers["Prefer"]);
        RunKind kind = preference.RespondAsync ? RunKind.Task : RunKind.Call;
        return answer.AnswerAsync(context, Parse(context, kind), preference);
    }

    /// <summary>A task.</summary>
    public Task TaskAsync(HttpContext context) => answer.AnswerAsync(
        context, Parse(context, RunKind.Task), Preference.Parse(context.Request.Headers["Prefer"]));

    private RunOrder Parse(HttpContext context, RunKind kind)
    {
        ImageReference reference = RequestedImage.Parse(context);
        Digest digest = images.Resolve(reference).Digest;
        OptionHeaders given = OptionHeaders.Read(context.Request.Headers, kind);
        RunSpec spec = RunRequest.Parse(context.Request, given, kind, reference, digest, options);
        return new RunOrder(kind, spec with { Bridge = networks.Bind(spec.Bridge, Caller.Of(context)) }, given);
    }
}
