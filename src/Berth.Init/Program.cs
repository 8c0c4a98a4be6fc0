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

// It kills "every process" when the program ends, which only process 1 of a namespace may mean.
if (args.Length > 0 || Kernel.GetPid() != 1)
{
    Kernel.Say("berth-init is started by Berth as process 1 of a sandbox.\n"u8);
    return 64;
}

SandboxInit.Run();
return 0;
