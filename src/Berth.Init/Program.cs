using Berth.Init;
using Berth.Init.Files;
using Berth.Init.Linux;

// berth-init: process 1 of a sandbox. Inherits 0 to 2, the program's streams; 3, the connection to the node; 4, the
// write end of the progress pipe. docs/internals/init-protocol.md tells the rest.
if (args is ["hold-user-namespace"])
{
    return UserNamespaceHolder.Run();
}

if (args is ["files", ..])
{
    return FileTool.Run(args.AsSpan(1));
}

if (args is ["supervise", _, _, _, ..])
{
    // Past the runtime's own shutdown: nothing is left to flush.
    Kernel.Exit(PlainInit.Run(args[1], args[2], args.AsSpan(3)));
}

if (args is ["enter-groups", ..])
{
    return GroupEntry.Run(args.AsSpan(1));
}

// It kills "every process" when the program ends, which only process 1 of a namespace may mean.
if (args.Length > 0 || Kernel.GetPid() != 1)
{
    Kernel.Say("berth-init is started by Berth as process 1 of a sandbox.\n"u8);
    return 64;
}

SandboxInit.Run();
return 0;
